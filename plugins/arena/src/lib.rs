//! The guests' allocator: memory is handed out and hardly ever taken back, since an instance serves one call and is
//! gone. Linking this crate is using it; outside WebAssembly it is empty.
#![cfg(target_family = "wasm")]
#![no_std]
#![expect(unsafe_code, reason = "the allocator's interface")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::memory_grow;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// So much is asked for at one time, in WebAssembly's pages of 64 KiB.
const PAGES: usize = 2;
const PAGE_BYTES: usize = 64 << 10;

struct Arena {
    next: AtomicUsize,
    end: AtomicUsize,
}

/// Asks for what is lacking to so many bytes. At the end of `configure` it makes room in the snapshot for a usual call,
/// which then need not grow the memory; what is never used still takes the host time to look through.
pub fn reserve(bytes: usize) {
    let (next, end) = (ARENA.next.load(Relaxed), ARENA.end.load(Relaxed));
    if let Some(lacking) = bytes.checked_sub(end - next) {
        ARENA.grow(lacking.div_ceil(PAGE_BYTES));
    }
}

impl Arena {
    /// Whether there are so many more pages.
    fn grow(&self, pages: usize) -> bool {
        let grown = memory_grow(0, pages);
        if grown == usize::MAX {
            return false;
        }
        let begin = grown * PAGE_BYTES;
        // What is left before stays unused unless the new pages follow it.
        if begin != self.end.load(Relaxed) {
            self.next.store(begin, Relaxed);
        }
        self.end.store(begin + pages * PAGE_BYTES, Relaxed);
        true
    }
}

#[global_allocator]
static ARENA: Arena = Arena { next: AtomicUsize::new(0), end: AtomicUsize::new(0) };

// SAFETY: every block lies in pages that only this allocator asked for, aligned as wanted, and none overlaps another
// that is in use: `next` moves back only over the block that was handed out last.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.next.load(Relaxed).next_multiple_of(layout.align());
        let Some(end) = start.checked_add(layout.size()) else { return core::ptr::null_mut() };
        if end <= self.end.load(Relaxed) {
            self.next.store(end, Relaxed);
            return core::ptr::with_exposed_provenance_mut(start);
        }
        if !self.grow((layout.size() + layout.align()).div_ceil(PAGE_BYTES).max(PAGES)) {
            return core::ptr::null_mut();
        }
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
            unsafe { core::ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
        }
        moved
    }
}

/// The canonical ABI's `realloc`: where the host puts what it passes. Without it that would be the C library's heap.
///
/// # Safety
///
/// Only the host calls it, with a block of an earlier call or none.
// SAFETY: the name is the canonical ABI's; the C library's is weak.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cabi_realloc(block: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    // SAFETY: the canonical ABI asks for sizes and alignments that the component's own types have.
    let given = unsafe {
        let layout = Layout::from_size_align_unchecked(if old_size == 0 { size } else { old_size }, align);
        if size == 0 {
            core::ptr::without_provenance_mut(align)
        } else if old_size == 0 {
            ARENA.alloc(layout)
        } else {
            ARENA.realloc(block, layout, size)
        }
    };
    if given.is_null() {
        core::arch::wasm32::unreachable()
    }
    given
}
