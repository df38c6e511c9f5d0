//! Major 1 of the contract: its bindings, and calls with the host's own nouns.

mod convert;
mod records;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use wasmtime::Store;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, HasSelf, Instance, InstancePre, Lift, Linker, Lower, TypedFunc,
};

use super::sandbox::State;
use super::{ConfigError, Manifest, Slot};
use crate::notification::report::Reported;
use crate::notification::{Failure, Notification, Request, Situation};

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
            world: "reporting-policy-plugin",
            exports: { default: async },
            with: {
                "ecomm:notification/types": super::renderer::ecomm::notification::types,
                "ecomm:notification/log": super::renderer::ecomm::notification::log,
                "ecomm:format/text": super::renderer::ecomm::format::text,
                "ecomm:format/zone": super::renderer::ecomm::format::zone,
                "ecomm:format/link": super::renderer::ecomm::format::link,
            },
        });
    }
}

use bindings::policy::exports::ecomm::notification::plugin as wit_plugin;
pub(super) use bindings::policy::exports::ecomm::notification::{policy as wit_policy, reports as wit_reports};
use bindings::renderer::RendererPlugin;
use bindings::renderer::ecomm::format;
use bindings::renderer::ecomm::notification::{log, types as wit};

/// The contract's package and version.
pub const CONTRACT: &str = "ecomm:notification@1.0.0";
/// All packages that this host offers.
pub(crate) const OFFERS: &str = "ecomm:notification@1.0.0 and ecomm:format@1.0.0";

pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    format::text::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    format::zone::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    format::link::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    linker.instance("ecomm:notification/event@1.0.0")?.func_wrap("get", |store, (): ()| {
        let asked = store.data().asked.as_deref();
        let n = asked.ok_or_else(|| wasmtime::format_err!("event.get: no notification is being decided"))?;
        Ok((convert::notification::<String>(n),))
    })
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
    describe: Export,
    configure: Export,
    /// `render` or `admit`.
    asked: Export,
    on_failure: Option<Export>,
    /// What a policy need not export.
    on_report: Option<Export>,
}

/// A guest is only ever asked for what its slot exports.
const WRONG_SLOT: &str = "asked for what the slot does not export";

impl Guest {
    pub(crate) fn new(slot: Slot, pre: InstancePre<State>) -> wasmtime::Result<Self> {
        Self::of_version(slot, pre, "1.0.0")
    }

    /// A later minor version finds what was built for this one.
    fn of_version(slot: Slot, pre: InstancePre<State>, version: &str) -> wasmtime::Result<Self> {
        let component = pre.component();
        let export = |interface: &str, name: &str| -> wasmtime::Result<Export> {
            let interface = format!("ecomm:notification/{interface}@{version}");
            let within = component.get_export_index(None, &interface);
            let index = within.as_ref().and_then(|within| component.get_export_index(Some(within), name));
            let index = index.ok_or_else(|| wasmtime::format_err!("{interface} lacks the function \"{name}\""))?;
            Ok(Export { index, is_checked: AtomicBool::new(false) })
        };
        let (asked, on_failure) = match slot {
            Slot::Renderer => (export("renderer", "render")?, None),
            Slot::Policy => (export("policy", "admit")?, Some(export("policy", "on-failure")?)),
        };
        let reports = format!("ecomm:notification/reports@{version}");
        let has_reports = slot == Slot::Policy && component.get_export_index(None, &reports).is_some();
        let on_report = has_reports.then(|| export("reports", "on-report")).transpose()?;
        let (describe, configure) = (export("plugin", "describe")?, export("plugin", "configure")?);
        Ok(Self { pre, slot, describe, configure, asked, on_failure, on_report })
    }

    /// Whether it is asked about reports.
    pub(crate) fn answers_reports(&self) -> bool {
        self.on_report.is_some()
    }

    pub(crate) async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Instance> {
        self.pre.instantiate_async(store).await
    }

    /// Whether every export has the contract's types.
    pub(crate) fn check(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
        match self.slot {
            Slot::Renderer => RendererPlugin::new(store, instance).map(drop),
            Slot::Policy => {
                wit_plugin::GuestIndices::new(&self.pre)?.load(&mut *store, instance)?;
                wit_policy::GuestIndices::new(&self.pre)?.load(&mut *store, instance)?;
                if self.on_report.is_some() {
                    wit_reports::GuestIndices::new(&self.pre)?.load(&mut *store, instance)?;
                }
                Ok(())
            }
        }
    }

    pub(crate) async fn describe(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Manifest> {
        let describe = self.describe.typed::<(), (wit::Manifest,)>(store, instance)?;
        Ok(describe.call_async(store, ()).await?.0.into())
    }

    pub(crate) async fn configure(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        config: &str,
    ) -> wasmtime::Result<Result<(), ConfigError>> {
        let configure = self.configure.typed::<(&str,), (Result<(), wit::ConfigError>,)>(store, instance)?;
        let (answer,) = configure.call_async(store, (config,)).await?;
        Ok(answer.map_err(|wit::ConfigError { pointer, message }| ConfigError { pointer, message }))
    }

    pub(crate) async fn render(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        n: &Notification,
        request: &Request<'_>,
    ) -> wasmtime::Result<Result<wit::Email, String>> {
        type Asked<'a> = (records::Notification<&'a str>, records::Request<&'a str>);
        wasmtime::ensure!(self.slot == Slot::Renderer, WRONG_SLOT);
        let render = self.asked.typed::<Asked<'_>, (Result<wit::Email, String>,)>(store, instance)?;
        Ok(render.call_async(store, (convert::notification(n), convert::request(request))).await?.0)
    }

    pub(crate) async fn admit(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        n: &Notification,
        s: &Situation,
    ) -> wasmtime::Result<wit_policy::Admission> {
        type Asked<'a> = (records::Brief<&'a str>, records::Situation<&'a str>);
        wasmtime::ensure!(self.slot == Slot::Policy, WRONG_SLOT);
        let admit = self.asked.typed::<Asked<'_>, (wit_policy::Admission,)>(store, instance)?;
        Ok(admit.call_async(store, (convert::brief(n, s), convert::situation(n, s))).await?.0)
    }

    pub(crate) async fn on_failure(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        n: &Notification,
        f: &Failure,
        s: &Situation,
    ) -> wasmtime::Result<wit_policy::Verdict> {
        type Asked<'a> = (records::Brief<&'a str>, records::Failure<&'a str>, records::Situation<&'a str>);
        let Some(export) = &self.on_failure else { wasmtime::bail!(WRONG_SLOT) };
        let on_failure = export.typed::<Asked<'_>, (wit_policy::Verdict,)>(store, instance)?;
        let asked = (convert::brief(n, s), convert::failure(n, f), convert::situation(n, s));
        Ok(on_failure.call_async(store, asked).await?.0)
    }

    pub(crate) async fn on_report(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        n: &Notification,
        r: &Reported,
        s: &Situation,
    ) -> wasmtime::Result<wit_reports::Reaction> {
        type Asked<'a> = (records::Brief<&'a str>, records::Report<&'a str>, records::Situation<&'a str>);
        let Some(export) = &self.on_report else { wasmtime::bail!(WRONG_SLOT) };
        let on_report = export.typed::<Asked<'_>, (wit_reports::Reaction,)>(store, instance)?;
        let asked = (convert::brief(n, s), convert::report(n, r), convert::situation(n, s));
        Ok(on_report.call_async(store, asked).await?.0)
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

#[cfg(test)]
mod tests {
    use wasmtime::component::{Component, Linker};

    use super::{Guest, format, log};
    use crate::plugin::engine::{Code, Engine};
    use crate::plugin::sandbox::{Budget, GuestInputs, Sandbox, State};
    use crate::plugin::{Slot, builtin};

    /// What a later host offers: one more function in each interface, and one more interface.
    fn later(linker: &mut Linker<State>) -> wasmtime::Result<()> {
        let mut texts = linker.instance("ecomm:format/text@1.1.0")?;
        texts.func_wrap("money", |mut store, (a, b, c, d): (String, i64, String, u8)| {
            Ok((format::text::Host::money(store.data_mut(), a, b, c, d),))
        })?;
        texts.func_wrap("date", |mut store, (a, b, c): (String, format::text::Day, format::text::Length)| {
            Ok((format::text::Host::date(store.data_mut(), a, b, c),))
        })?;
        texts.func_wrap("time-of-day", |mut store, (a, b, c): (String, u8, u8)| {
            Ok((format::text::Host::time_of_day(store.data_mut(), a, b, c),))
        })?;
        texts.func_wrap("is-right-to-left", |mut store, (a,): (String,)| {
            Ok((format::text::Host::is_right_to_left(store.data_mut(), a),))
        })?;
        texts.func_wrap("ordinal", |_, (_, n): (String, u64)| Ok((n.to_string(),)))?;
        let mut zones = linker.instance("ecomm:format/zone@1.1.0")?;
        zones.func_wrap("civil-time", |mut store, (a, b): (u64, String)| {
            Ok((format::zone::Host::civil_time(store.data_mut(), a, b),))
        })?;
        let mut lines = linker.instance("ecomm:notification/log@1.1.0")?;
        lines.func_wrap("write", |mut store, (a, b): (log::Level, String)| {
            log::Host::write(store.data_mut(), a, b);
            Ok(())
        })?;
        lines.func_wrap("flush", |_, (): ()| Ok(()))?;
        linker.instance("ecomm:notification/extra@1.1.0")?.func_wrap("more", |_, (): ()| Ok((1_u32,)))
    }

    /// Growth, rehearsed: a component that was built for 1.0 is found and works in a host that offers 1.1.
    #[tokio::test]
    async fn a_later_host_runs_what_was_built_for_this_one() {
        let budget = Budget {
            fuel_max: 1_000_000_000,
            fuel_per_line: 0,
            time_ms_max: 60_000,
            memory_bytes_max: 64 << 20,
            output_bytes_max: 1 << 20,
        };
        let engine = Engine::new(1, &budget).unwrap();
        let sandbox = Sandbox::new(&engine, 1, b"").unwrap();
        let mut linker = Linker::new(engine.of(Code::Metered));
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        later(&mut linker).unwrap();
        let component = Component::new(engine.of(Code::Metered), builtin(Slot::Renderer)).unwrap();
        let pre = linker.instantiate_pre(&component).unwrap();
        let guest = Guest::of_version(Slot::Renderer, pre, "1.1.0").unwrap();
        let mut call = sandbox.gate_store(&budget, GuestInputs { now_ms: 0, seed: 0 });
        let instance = guest.instantiate(&mut call.store).await.unwrap();
        guest.configure(&mut call.store, &instance, "{}").await.unwrap().unwrap();
        let payload = include_str!("../../../plugins/events/order-invoiced.json");
        let payload = crate::notification::Payload::read(payload).unwrap();
        let n = crate::notification::Notification { id: 1, message_id: "1@shop.example".to_owned(), payload };
        let answer = guest.render(&mut call.store, &instance, &n, &crate::notification::Request::default()).await;
        let email = answer.unwrap().unwrap();
        assert_eq!(email.subject, "Invoice 2026-000042 for order 4242424242");
        assert!(email.attachments[0].data.starts_with(b"%PDF-1.4"));
    }
}
