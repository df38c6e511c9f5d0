//! The settings that compiled code depends on. The host's build script uses this file too, so that the host can load the
//! code of the built-ins that was made then.

use wasmtime::Config;

/// Settings of an engine that compiles; those of one that runs what it compiled have them too. Metered code counts its
/// instructions.
pub(crate) fn settings(is_metered: bool) -> Config {
    let mut config = Config::new();
    config
        .memory_init_cow(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .consume_fuel(is_metered)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_threads(false)
        .wasm_gc(false)
        .wasm_exceptions(false)
        .wasm_function_references(false)
        .gc_support(false)
        // A swap must not take all cores from deliveries.
        .parallel_compilation(false);
    config
}
