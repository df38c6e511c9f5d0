//! Major 1 of the contract: its bindings, and calls with the host's own nouns.

mod convert;
mod records;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use wasmtime::Store;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, HasSelf, Instance, InstancePre, Lift, Linker, Lower, TypedFunc,
};

use super::sandbox::State;
use super::{Email, Slot};
use crate::notification::{Admission, Failure, Notification, Situation, Verdict};

pub(crate) mod bindings {
    pub(crate) mod renderer {
        wasmtime::component::bindgen!({
            path: "../wit/v1",
            world: "renderer-plugin",
            exports: { default: async },
        });
    }
    pub(crate) mod policy {
        wasmtime::component::bindgen!({
            path: "../wit/v1",
            world: "policy-plugin",
            exports: { default: async },
            with: {
                "ecomm:notification/types": super::renderer::ecomm::notification::types,
                "ecomm:notification/log": super::renderer::ecomm::notification::log,
            },
        });
    }
}

use bindings::policy::PolicyPlugin;
use bindings::policy::exports::ecomm::notification::policy as wit_policy;
use bindings::renderer::RendererPlugin;
use bindings::renderer::ecomm::notification::{log, types as wit};

/// The package and version that this host offers.
pub(crate) const CONTRACT: &str = "ecomm:notification@1.0.0";

pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) {
        let Some(line) = self.log_line(&message) else { return };
        match level {
            log::Level::Debug => tracing::debug!(target: "plugin", "{line}"),
            log::Level::Info => tracing::info!(target: "plugin", "{line}"),
            log::Level::Warn => tracing::warn!(target: "plugin", "{line}"),
            log::Level::Error => tracing::error!(target: "plugin", "{line}"),
        }
    }
}

/// A component linked for its slot; instances are made from it.
pub(crate) struct Guest {
    pre: InstancePre<State>,
    slot: Slot,
    configure: Export,
    /// `render` or `admit`.
    asked: Export,
    on_failure: Option<Export>,
}

/// A guest is only ever asked for what its slot exports.
const WRONG_SLOT: &str = "asked for what the slot does not export";

impl Guest {
    pub(crate) fn new(slot: Slot, pre: InstancePre<State>) -> wasmtime::Result<Self> {
        let interface = format!("ecomm:notification/{slot}@1.0.0");
        let component = pre.component();
        let within = component.get_export_index(None, &interface);
        let export = |name: &str| -> wasmtime::Result<Export> {
            let index = within.as_ref().and_then(|within| component.get_export_index(Some(within), name));
            let index = index.ok_or_else(|| wasmtime::format_err!("{interface} lacks the function \"{name}\""))?;
            Ok(Export { index, is_checked: AtomicBool::new(false) })
        };
        let (asked, on_failure) = match slot {
            Slot::Renderer => (export("render")?, None),
            Slot::Policy => (export("admit")?, Some(export("on-failure")?)),
        };
        Ok(Self { configure: export("configure")?, asked, on_failure, slot, pre })
    }

    pub(crate) async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Instance> {
        self.pre.instantiate_async(store).await
    }

    /// Whether every export has the contract's types.
    pub(crate) fn check(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
        match self.slot {
            Slot::Renderer => RendererPlugin::new(store, instance).map(drop),
            Slot::Policy => PolicyPlugin::new(store, instance).map(drop),
        }
    }

    pub(crate) async fn configure(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        config: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        let configure = self.configure.typed::<(&str,), (Result<(), String>,)>(store, instance)?;
        Ok(configure.call_async(store, (config,)).await?.0)
    }

    pub(crate) async fn render(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        n: &Notification,
        later: Option<&str>,
    ) -> wasmtime::Result<Result<Email, String>> {
        wasmtime::ensure!(self.slot == Slot::Renderer, WRONG_SLOT);
        let render =
            self.asked.typed::<(records::Notification<'_>,), (Result<wit::Email, String>,)>(store, instance)?;
        let (answer,) = render.call_async(store, (convert::notification(n, later),)).await?;
        Ok(answer.map(Email::from))
    }

    pub(crate) async fn admit(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        n: &Notification,
        s: &Situation,
        later: Option<&str>,
    ) -> wasmtime::Result<Admission> {
        type Asked<'a> = (records::Notification<'a>, records::Situation<'a>);
        wasmtime::ensure!(self.slot == Slot::Policy, WRONG_SLOT);
        let admit = self.asked.typed::<Asked<'_>, (wit_policy::Admission,)>(store, instance)?;
        Ok(admit.call_async(store, (convert::notification(n, later), s.into())).await?.0.into())
    }

    pub(crate) async fn on_failure(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        n: &Notification,
        f: &Failure,
        s: &Situation,
    ) -> wasmtime::Result<Verdict> {
        type Asked<'a> = (records::Notification<'a>, records::Failure<'a>, records::Situation<'a>);
        let Some(export) = &self.on_failure else { wasmtime::bail!(WRONG_SLOT) };
        let on_failure = export.typed::<Asked<'_>, (wit_policy::Verdict,)>(store, instance)?;
        Ok(on_failure.call_async(store, (n.into(), f.into(), s.into())).await?.0.into())
    }
}

/// A function of a component. Its types are the component's: they are compared with the host's at the first call,
/// since comparing them name by name at each costs as much as running a small guest.
struct Export {
    index: ComponentExportIndex,
    is_checked: AtomicBool,
}

impl Export {
    /// An export is always asked for with the same types: above, and nowhere else.
    fn typed<Params, Return>(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<TypedFunc<Params, Return>>
    where
        Params: ComponentNamedList + Lower,
        Return: ComponentNamedList + Lift,
    {
        let func = instance.get_func(&mut *store, self.index);
        let func = func.ok_or_else(|| wasmtime::format_err!("the instance is of another component"))?;
        if !self.is_checked.load(Relaxed) {
            let typed = func.typed(&*store)?;
            self.is_checked.store(true, Relaxed);
            return Ok(typed);
        }
        #[expect(unsafe_code, reason = "the same types were compared with this component's own before")]
        // SAFETY: `index` belongs to one component, `get_func` finds nothing in an instance of another, and an earlier
        // call with these very types was compared with that component.
        Ok(unsafe { TypedFunc::new_unchecked(func) })
    }
}
