//! How a snapshot reads what an instance has in its memories and globals. The host's build script uses this file too. The
//! library of snapshots has the same behind a feature that brings a cache, a parser of values and a compressor along.

use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Instance, Lift, TypedFunc, WasmList};
use wasmtime_wizer::ComponentInstanceState;

/// An instance of a component that was instrumented for its snapshot: each memory and global has a function that tells it.
pub(crate) struct Memory<'a, T: 'static> {
    pub(crate) store: &'a mut Store<T>,
    pub(crate) instance: Instance,
}

impl<T: Send> Memory<'_, T> {
    /// What the function tells.
    ///
    /// # Panics
    /// Where the instance is of a component that was not instrumented, or traps: the library has no word for either.
    async fn told<R>(&mut self, interface: &str, name: &str) -> R
    where
        R: 'static,
        (R,): ComponentNamedList + Lift + Send + Sync,
    {
        let store = &mut *self.store;
        let (_, within) = self.instance.get_export(&mut *store, None, interface).expect("instrumented");
        let (_, function) = self.instance.get_export(&mut *store, Some(&within), name).expect("instrumented");
        let function: TypedFunc<(), (R,)> = self.instance.get_typed_func(&mut *store, function).expect("instrumented");
        function.call_async(&mut *store, ()).await.expect("it only reads").0
    }
}

impl<T: Send> ComponentInstanceState for Memory<'_, T> {
    async fn call_func_ret_list_u8(&mut self, interface: &str, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let bytes: WasmList<u8> = self.told(interface, name).await;
        contents(bytes.as_le_slice(&*self.store));
    }

    async fn call_func_ret_s32(&mut self, interface: &str, name: &str) -> i32 {
        self.told(interface, name).await
    }

    async fn call_func_ret_s64(&mut self, interface: &str, name: &str) -> i64 {
        self.told(interface, name).await
    }

    async fn call_func_ret_f32(&mut self, interface: &str, name: &str) -> u32 {
        self.told::<f32>(interface, name).await.to_bits()
    }

    async fn call_func_ret_f64(&mut self, interface: &str, name: &str) -> u64 {
        self.told::<f64>(interface, name).await.to_bits()
    }
}
