//! Major 1 of the contract: its bindings, and calls with the host's own nouns.

mod convert;

use wasmtime::Store;
use wasmtime::component::{HasSelf, InstancePre, Linker};

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

use bindings::policy::{PolicyPlugin, PolicyPluginPre};
use bindings::renderer::ecomm::notification::log;
use bindings::renderer::{RendererPlugin, RendererPluginPre};

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
pub(crate) enum Guest {
    Renderer(RendererPluginPre<State>),
    Policy(PolicyPluginPre<State>),
}

impl Guest {
    pub(crate) fn new(slot: Slot, pre: InstancePre<State>) -> wasmtime::Result<Self> {
        Ok(match slot {
            Slot::Renderer => Self::Renderer(RendererPluginPre::new(pre)?),
            Slot::Policy => Self::Policy(PolicyPluginPre::new(pre)?),
        })
    }

    pub(crate) async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Instance> {
        Ok(match self {
            Self::Renderer(pre) => Instance::Renderer(pre.instantiate_async(store).await?),
            Self::Policy(pre) => Instance::Policy(pre.instantiate_async(store).await?),
        })
    }

    /// The same, with the raw instance that a snapshot is taken from.
    pub(crate) async fn instantiate_raw(
        &self,
        store: &mut Store<State>,
    ) -> wasmtime::Result<(wasmtime::component::Instance, Instance)> {
        Ok(match self {
            Self::Renderer(pre) => {
                let raw = pre.instance_pre().instantiate_async(&mut *store).await?;
                (raw, Instance::Renderer(RendererPlugin::new(store, &raw)?))
            }
            Self::Policy(pre) => {
                let raw = pre.instance_pre().instantiate_async(&mut *store).await?;
                (raw, Instance::Policy(PolicyPlugin::new(store, &raw)?))
            }
        })
    }
}

/// An instance of a component.
pub(crate) enum Instance {
    Renderer(RendererPlugin),
    Policy(PolicyPlugin),
}

/// A guest is only ever asked for what its slot exports.
const WRONG_SLOT: &str = "asked for what the slot does not export";

impl Instance {
    pub(crate) async fn configure(
        &self,
        store: &mut Store<State>,
        config: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        match self {
            Self::Renderer(r) => r.ecomm_notification_renderer().call_configure(store, config).await,
            Self::Policy(p) => p.ecomm_notification_policy().call_configure(store, config).await,
        }
    }

    pub(crate) async fn render(
        &self,
        store: &mut Store<State>,
        n: &Notification,
    ) -> wasmtime::Result<Result<Email, String>> {
        let Self::Renderer(r) = self else { wasmtime::bail!(WRONG_SLOT) };
        let answer = r.ecomm_notification_renderer().call_render(store, &n.into()).await?;
        Ok(answer.map(Email::from))
    }

    pub(crate) async fn admit(
        &self,
        store: &mut Store<State>,
        n: &Notification,
        s: &Situation,
    ) -> wasmtime::Result<Admission> {
        let Self::Policy(p) = self else { wasmtime::bail!(WRONG_SLOT) };
        Ok(p.ecomm_notification_policy().call_admit(store, &n.into(), &s.into()).await?.into())
    }

    pub(crate) async fn on_failure(
        &self,
        store: &mut Store<State>,
        n: &Notification,
        f: &Failure,
        s: &Situation,
    ) -> wasmtime::Result<Verdict> {
        let Self::Policy(p) = self else { wasmtime::bail!(WRONG_SLOT) };
        Ok(p.ecomm_notification_policy().call_on_failure(store, &n.into(), &f.into(), &s.into()).await?.into())
    }
}
