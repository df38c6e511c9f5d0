//! The guests' allocator: memory is handed out and hardly ever taken back, since an instance serves one call and is
//! gone. Linking this crate is using it; outside WebAssembly it is empty.
#![cfg(target_family = "wasm")]
#![expect(unsafe_code, reason = "the allocator's interface")]

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// So much is asked for at one time, in WebAssembly's pages of 64 KiB. The first time is in `configure`, so that the
/// snapshot already has what a usual call needs.
const PAGES: usize = 16;
const PAGE_BYTES: usize = 64 << 10;

struct Arena {
    next: AtomicUsize,
    end: AtomicUsize,
}

#[global_allocator]
static ARENA: Arena = Arena { next: AtomicUsize::new(0), end: AtomicUsize::new(0) };

// SAFETY: every block lies in pages that only this allocator asked for, aligned as wanted, and none overlaps another
// that is in use: `next` moves back only over the block that was handed out last.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.next.load(Relaxed).next_multiple_of(layout.align());
        let Some(end) = start.checked_add(layout.size()) else { return std::ptr::null_mut() };
        if end <= self.end.load(Relaxed) {
            self.next.store(end, Relaxed);
            return std::ptr::with_exposed_provenance_mut(start);
        }
        let pages = (layout.size() + layout.align()).div_ceil(PAGE_BYTES).max(PAGES);
        let grown = memory_grow(0, pages);
        if grown == usize::MAX {
            return std::ptr::null_mut();
        }
        let begin = grown * PAGE_BYTES;
        // What is left before stays unused unless the new pages follow it.
        if begin != self.end.load(Relaxed) {
            self.next.store(begin, Relaxed);
        }
        self.end.store(begin + pages * PAGE_BYTES, Relaxed);
        // SAFETY: the caller's promise, passed on; there is room now.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if block.addr() + layout.size() == self.next.load(Relaxed) {
            self.next.store(block.addr(), Relaxed);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let is_last = block.addr() + layout.size() == self.next.load(Relaxed);
        if is_last && block.addr().checked_add(size).is_some_and(|end| end <= self.end.load(Relaxed)) {
            self.next.store(block.addr() + size, Relaxed);
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the caller's promise: `size` is not 0 and does not overflow when rounded up.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks are at least so long, and they do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
        }
        moved
    }
}
