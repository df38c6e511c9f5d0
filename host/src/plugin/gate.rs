//! What a component must pass before it serves: size, kind, contract, compile, configure, snapshot, fixtures.
//!
//! One component at a time, compiled off the runtime. Nothing reaches traffic before it passes.

mod candidate;
pub(super) mod contract;
mod report;
mod trial;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmtime::component::{Component, Instance};
use wasmtime_wizer::Wizer;

use super::builtin;
use super::cache::{Artifact, Cache, Key};
use super::compiler::{Compiled, Compiler};
use super::engine::{Code, Codes, Engine};
use super::fault::{Fault, LoadError};
use super::memory::Memory;
use super::sandbox::{Budget, CallStore, GuestInputs, Sandbox};
use super::{Impure, Manifest, Revision, Settings, Slot, digest, v1};
use crate::clock::Clock;
pub use candidate::{Admitted, Candidate, Care, Progress, Step};
pub use contract::{Contents, contents};
pub use report::{Making, Report, Trial};
pub use trial::Shares;
use trial::Tried;

/// The gate.
pub(crate) struct Gate {
    engine: Engine,
    /// Whether what it admits may serve, and needs live code.
    is_serving: bool,
    compiler: Compiler,
    sandbox: Sandbox,
    cache: Cache,
    one: Arc<Semaphore>,
    /// Held by each that waits for it or is in it.
    waiting: Arc<()>,
    bytes_max: usize,
    configure: Budget,
    call: Budget,
    /// As many calls as traffic may make at one time.
    calls_max: u32,
    impure: Impure,
    /// Those that a policy may name.
    relays: Arc<[String]>,
    clock: Clock,
}

/// A compiled component that is ready, and how it got there.
struct Prepared {
    artifact: Artifact,
    components: Codes<Component>,
    /// Both, one after the other, if it was compiled now.
    code: Option<Vec<u8>>,
}

impl Gate {
    pub(crate) fn new(
        engine: &Engine,
        sandbox: Sandbox,
        settings: &Settings,
        cache_key: &[u8],
        relays: &[String],
        clock: Clock,
    ) -> Self {
        let cache = Cache::new(&settings.cache_path, cache_key, engine);
        Self {
            engine: engine.clone(),
            is_serving: false,
            compiler: Compiler::new(&settings.compiler, engine),
            sandbox,
            cache,
            one: Arc::new(Semaphore::new(1)),
            waiting: Arc::default(),
            bytes_max: settings.component_bytes_max,
            configure: settings.configure,
            call: settings.call,
            calls_max: settings.calls_max(),
            impure: settings.impure,
            relays: relays.into(),
            clock,
        }
    }

    /// The same for components that may serve.
    pub(crate) fn serving(self) -> Self {
        Self { is_serving: true, ..self }
    }

    /// How many components wait for the compiler, or are in it.
    pub(crate) fn waiting(&self) -> usize {
        Arc::strong_count(&self.waiting) - 1
    }

    /// The bytes of a component file.
    pub(crate) async fn read(&self, path: &Path) -> Result<Arc<[u8]>, LoadError> {
        let unreadable = |source| LoadError::Read { path: path.to_owned(), source };
        let bytes = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
        self.check_size(bytes)?;
        Ok(tokio::fs::read(path).await.map_err(unreadable)?.into())
    }

    fn check_size(&self, bytes: u64) -> Result<(), LoadError> {
        if bytes > self.bytes_max as u64 {
            return Err(LoadError::TooLarge { bytes, max: self.bytes_max });
        }
        Ok(())
    }

    /// What a component says of itself; refuses what is too large or none.
    pub(crate) fn inspect(&self, wasm: &[u8]) -> Result<serde_json::Value, LoadError> {
        self.check_size(wasm.len() as u64)?;
        Ok(contract::contents(wasm)?.metadata)
    }

    /// Whether a component that began like `before` may go on with `piece`.
    pub(crate) fn check_start(&self, before: &[u8], piece: &[u8]) -> Result<(), LoadError> {
        self.check_size((before.len() + piece.len()) as u64)?;
        contract::check_start(before, piece)
    }

    /// Forgets compiled code but for these revisions' digest, slot and config.
    pub(crate) async fn collect_garbage(&self, kept: &[(String, String, String)]) -> (usize, u64) {
        self.cache.collect_garbage(kept).await
    }

    /// The name under which another host may have kept a component's code; none when this host has it.
    pub(crate) async fn missing_code(&self, slot: Slot, digest: &str, config: &str) -> Option<String> {
        if builtin::has_code(digest, slot, config) {
            return None;
        }
        let key = self.cache.key(digest, slot, config);
        (!self.cache.has(&key).await).then(|| key.name())
    }

    /// Prepares a component for a slot, or says why not. On a thread beside the runtime's: a large component's bytes
    /// are read, rewritten and hashed more than once. Dropped, it stops.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        candidate: Candidate,
        progress: &Progress,
    ) -> Result<Admitted, LoadError> {
        let _waiting = self.waiting.clone();
        let one = self.one.clone().acquire_owned().await.map_err(|e| LoadError::Host(e.to_string()))?;
        let (this, progress, runtime) = (self.clone(), progress.clone(), tokio::runtime::Handle::current());
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let admitting = move || {
            let _one = one;
            runtime.block_on(async {
                tokio::select! {
                    () = dropped.cancelled() => Err(LoadError::Host("it is not wanted any more".to_owned())),
                    admitted = this.admit_here(candidate, &progress) => admitted,
                }
            })
        };
        tokio::task::spawn_blocking(admitting).await.map_err(|e| LoadError::Host(e.to_string()))?
    }

    /// The code that is there already: with the host, in its folder, or with the candidate.
    async fn kept(&self, candidate: &Candidate, digest: &str, key: &Key) -> Option<Prepared> {
        let Candidate { slot, config, code, .. } = candidate;
        let (artifact, components) = if let Some(shipped) = builtin::load(&self.engine, digest, *slot, config) {
            shipped
        } else if let Some(loaded) = self.cache.load(key).await {
            loaded
        } else {
            let code = code.as_ref()?;
            let opened = self.cache.open(key, code)?;
            self.cache.store(key, code.as_slice().into()).await;
            opened
        };
        Some(Prepared { artifact, components, code: None })
    }

    async fn admit_here(&self, candidate: Candidate, progress: &Progress) -> Result<Admitted, LoadError> {
        let begun = self.clock.monotonic_ms();
        self.check_size(candidate.wasm.len() as u64)?;
        contract::check_kind(&candidate.wasm)?;
        let anatomy = contract::anatomy(&candidate.wasm)?;
        contract::check(candidate.slot, &anatomy)?;
        let digest = digest(&candidate.wasm);
        let key = self.cache.key(&digest, candidate.slot, &candidate.config);
        let prepared = match self.kept(&candidate, &digest, &key).await {
            Some(prepared) => prepared,
            None => self.prepare(&candidate, progress).await?,
        };
        let Candidate { slot, wasm, config, origin, care, .. } = candidate;
        let contract::Anatomy { imports, exports, core_instances, memories, tables, metadata } = anatomy;
        let warnings = contract::warnings(&imports, &prepared.artifact);
        let guests = prepared.components.try_map(|code, component| self.link(code, slot, component))?;
        let manifest = self.described(&guests.metered).await?;
        let Artifact { snapshotted, note, making, .. } = &prepared.artifact;
        let report = Report {
            bytes: wasm.len(),
            manifest,
            metadata,
            contract: v1::CONTRACT,
            data: super::format::DATA,
            imports,
            exports,
            signer: None,
            warnings,
            snapshotted: *snapshotted,
            snapshot_note: note.clone(),
            cached: prepared.code.is_none(),
            making: *making,
            prepared_ms: 0,
            core_instances,
            memories,
            tables,
            shares: Shares::default(),
            trials: Vec::new(),
        };
        let configure_each = (!snapshotted).then_some(config);
        let revision = Arc::new(Revision {
            slot,
            number: 0,
            digest,
            origin,
            report,
            guests,
            configure_each,
            health: super::health::Health::default(),
        });
        let tried = match care {
            Care::Draft => Tried::default(),
            Care::Gate => self.tried(&key, prepared.code.is_none(), revision.clone(), progress).await?,
        };
        // Every call has ended, and with it the others who held it.
        let mut revision = Arc::into_inner(revision).ok_or_else(|| LoadError::Host("a trial goes on".to_owned()))?;
        revision.report.warnings.extend(tried.warnings);
        (revision.report.trials, revision.report.shares) = (tried.trials, tried.shares);
        revision.report.prepared_ms = self.clock.monotonic_ms() - begun;
        let Some(code) = &prepared.code else { return Ok(Admitted { revision, code: None }) };
        let code: Arc<[u8]> = self.cache.seal(&key, &prepared.artifact, code).into();
        self.cache.store(&key, code.clone()).await;
        Ok(Admitted { revision, code: Some(code) })
    }

    /// Compiles, configures and snapshots; a component that cannot be snapshotted is compiled as it is.
    async fn prepare(&self, candidate: &Candidate, progress: &Progress) -> Result<Prepared, LoadError> {
        let Candidate { slot, wasm, config, care, .. } = candidate;
        progress.send_replace(Step::Compiling);
        let mut making = Making::default();
        let wizer = Wizer::new();
        let instrumented = std::panic::catch_unwind(AssertUnwindSafe(|| wizer.instrument_component(wasm)))
            .unwrap_or_else(|_| Err(wasmtime::format_err!("it cannot be instrumented")));
        let (context, instrumented) = match instrumented {
            Ok((context, instrumented)) => (Ok(context), Some(instrumented)),
            Err(e) => (Err(e.root_cause().to_string()), None),
        };
        // What only configures is compiled quickly; without a snapshot it is what serves.
        let (configures, haste) = match &instrumented {
            Some(instrumented) => (instrumented.as_slice(), Care::Draft),
            None => (&**wasm, *care),
        };
        let first = self.compile(configures, haste, Code::Metered, &mut making).await?;
        progress.send_replace(Step::Configuring);
        let (mut call, raw) = self.configured(*slot, &first.component, config, &mut making).await?;
        let snapshot = match context {
            Ok(_) if !call.store.data().holds_no_handles() => {
                Err("configure left a handle open, such as stderr's".to_owned())
            }
            Ok(context) => {
                call.lift_limits();
                let mut state = Memory { store: &mut call.store, instance: raw };
                let taken = AssertUnwindSafe(wizer.snapshot_component(&context, &mut state)).catch_unwind().await;
                taken.map_or_else(
                    |_| Err("its memory cannot be taken".to_owned()),
                    |taken| taken.map_err(|e| e.root_cause().to_string()),
                )
            }
            Err(why) => Err(why),
        };
        progress.send_replace(Step::CompilingSnapshot);
        let (serves, first, note) = match (snapshot, instrumented) {
            (Ok(snapshot), _) => {
                making.snapshot_bytes = Some(snapshot.len());
                (Cow::Owned(snapshot), None, None)
            }
            (Err(why), None) => (Cow::Borrowed(&**wasm), Some(first), Some(why)),
            (Err(why), Some(_)) => (Cow::Borrowed(&**wasm), None, Some(why)),
        };
        let metered = match first {
            Some(first) => first,
            None => self.compile(&serves, *care, Code::Metered, &mut making).await?,
        };
        let live = if self.is_serving && *care == Care::Gate {
            Some(self.compile(&serves, *care, Code::Live, &mut making).await?)
        } else {
            None
        };
        let metered_bytes = metered.code.len();
        let (live, more) = live.map(|live| (live.component, live.code)).unzip();
        let code = [metered.code, more.unwrap_or_default()].concat();
        (making.code_bytes, making.live_code_bytes) = (metered_bytes, code.len() - metered_bytes);
        let artifact = Artifact { snapshotted: note.is_none(), note, making };
        Ok(Prepared { artifact, components: Codes { metered: metered.component, live }, code: Some(code) })
    }

    async fn compile(&self, wasm: &[u8], care: Care, code: Code, making: &mut Making) -> Result<Compiled, LoadError> {
        let begun = self.clock.monotonic_ms();
        let compiled = self.compiler.compile(wasm, care, code).await.map_err(contract::explain_compile)?;
        making.compile_ms += self.clock.monotonic_ms() - begun;
        making.compile_memory_bytes = making.compile_memory_bytes.max(compiled.memory_bytes);
        Ok(compiled)
    }

    fn link(&self, code: Code, slot: Slot, component: &Component) -> Result<v1::Guest, LoadError> {
        let pre = self.sandbox.linker(code).instantiate_pre(component).map_err(|e| contract::explain(&e))?;
        v1::Guest::new(slot, pre).map_err(|e| contract::explain(&e))
    }

    /// A fresh instance, whose exports have the contract's types.
    async fn instantiated(&self, guest: &v1::Guest) -> Result<(CallStore, Instance), LoadError> {
        let mut call = self.sandbox.gate_store(&self.configure, GuestInputs { now_ms: 0, seed: 0 });
        let linked = call.run(async |store| Ok(guest.instantiate(store).await)).await;
        let instance = linked.map_err(failed_in_configure)?.map_err(|e| contract::explain_or(&e, &call))?;
        guest.check(&mut call.store, &instance).map_err(|e| contract::explain(&e))?;
        Ok((call, instance))
    }

    /// What a component says of itself.
    async fn described(&self, guest: &v1::Guest) -> Result<Manifest, LoadError> {
        let (mut call, instance) = self.instantiated(guest).await?;
        let manifest = call.run(async |store| guest.describe(store, &instance).await).await;
        manifest.map_err(|fault| LoadError::Manifest(format!("describe {fault}")))?.check()
    }

    /// A configured instance.
    async fn configured(
        &self,
        slot: Slot,
        component: &Component,
        config: &str,
        making: &mut Making,
    ) -> Result<(CallStore, Instance), LoadError> {
        let guest = self.link(Code::Metered, slot, component)?;
        // In an instance of its own: what it leaves in memory is no part of the snapshot.
        self.described(&guest).await?.check_config(config)?;
        let (mut call, instance) = self.instantiated(&guest).await?;
        let begun = self.clock.monotonic_us();
        let answer = call.run(async |store| guest.configure(store, &instance, config).await).await;
        answer.map_err(failed_in_configure)?.map_err(LoadError::Config)?;
        making.configure_us = self.clock.monotonic_us() - begun;
        making.configure = call.usage();
        Ok((call, instance))
    }
}

fn failed_in_configure(fault: Fault) -> LoadError {
    let advice = trial::advice(&fault, "plugins.configure");
    LoadError::Configure { fault, advice }
}
