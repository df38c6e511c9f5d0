//! Components on their way into a shop: out of a file, a registry, or a folder that is watched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use ecomm::grpc::client::Client;
use ecomm::kit::registry::Pulled;
use ecomm::service::{Move, NewPluginRevision, RevisionInfo, Signature, Slot, Terms};
use serde_json::{Map, Value};

use super::publish::{Speaking, pull_pinned, signatures_of};
use super::{SlotName, object, progress, read, say};
use crate::cli::shop::Shop;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where it is to serve.
    pub(super) slot: SlotName,
    /// The component: a file, or `oci://HOST[:PORT]/NAME[:TAG]@sha256:DIGEST`; the built-in when none.
    from: Option<String>,
    /// The file of its signature; FILE.sig when none. A registry's are taken from there.
    #[arg(long)]
    signature: Option<PathBuf>,
    /// A JSON file for its `configure`.
    #[arg(long)]
    plugin_config: Option<PathBuf>,
    /// Why, for the history.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    speaking: Speaking,
}

/// A component, with what is known of where it is from.
struct Found {
    wasm: Vec<u8>,
    signatures: Vec<Signature>,
    source: Option<String>,
}

/// Takes a component through the gate and keeps it, ready.
pub(super) async fn install(shop: &Shop, args: Args) -> anyhow::Result<RevisionInfo> {
    let Args { slot, from, signature, plugin_config, why, speaking } = args;
    let config = object(plugin_config.as_deref()).await?;
    let found = match from {
        None => None,
        Some(address) if address.starts_with("oci://") => {
            let address = address.parse()?;
            let pulling = pull_pinned(&address, &speaking, shop.component_bytes_max);
            let Pulled { wasm, address, signatures } = progress::during("pulling …", pulling).await?;
            Some(Found { wasm, signatures, source: Some(address.to_string()) })
        }
        Some(file) => {
            let file = PathBuf::from(file);
            let signatures = signatures_of(&file, signature.as_deref()).await?;
            Some(Found { wasm: read(&file).await?, signatures, source: None })
        }
    };
    take(&shop.client, slot.into(), found, config, why).await
}

async fn take(
    client: &Client,
    slot: Slot,
    found: Option<Found>,
    config: Map<String, Value>,
    why: String,
) -> anyhow::Result<RevisionInfo> {
    let (mut digest, mut source) = (None, None);
    if let Some(found) = found {
        let taking = format!("taking {} KB in …", found.wasm.len().div_ceil(1_000));
        let uploaded = progress::during(&taking, client.upload(&found.wasm)).await?.digest;
        for signature in found.signatures {
            // Another may do; whether one must, the install asks.
            if let Err(e) = client.add_signature(&uploaded, signature).await {
                tracing::warn!(error = %e, "a signature was not kept");
            }
        }
        (digest, source) = (Some(uploaded), found.source);
    }
    let new = NewPluginRevision { slot, digest, config: Some(config), source, why };
    let done = progress::follow(client, client.install(new).await?).await?;
    let revision = done.revision.context("the host took it in, and does not say as which revision")?;
    Ok(client.revision(revision).await?)
}

/// How often a watched folder is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Installs and activates what changes in a folder, until interrupted. Files are compared by their content, so that a
/// touched file is nothing and a renamed one is seen.
pub(super) async fn watch(client: &Client, folder: &Path) -> anyhow::Result<()> {
    let mut seen: [Option<(Vec<u8>, String)>; 2] = [None, None];
    say(&format!("watching {}", folder.display()))?;
    loop {
        for (slot, seen) in Slot::ALL.into_iter().zip(&mut seen) {
            let file = folder.join(format!("{slot}.wasm"));
            let Ok(wasm) = tokio::fs::read(&file).await else { continue };
            let config = tokio::fs::read_to_string(folder.join(format!("{slot}.json"))).await;
            let now = (wasm, config.unwrap_or_else(|_| "{}".to_owned()));
            if seen.as_ref() == Some(&now) {
                continue;
            }
            let taken = serve(client, slot, &file, &now.0, &now.1).await;
            *seen = Some(now);
            match taken {
                Ok(revision) => say(&format!("{slot}: revision {revision} serves"))?,
                Err(e) => {
                    say(&format!("{slot}: not taken, the old one serves on: {}", ecomm::cause::chain(e.as_ref())))?;
                }
            }
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn serve(client: &Client, slot: Slot, file: &Path, wasm: &[u8], config: &str) -> anyhow::Result<i64> {
    let config = serde_json::from_str(config).context("the config is not a JSON object")?;
    let signatures = signatures_of(file, None).await?;
    let found = Found { wasm: wasm.to_vec(), signatures, source: None };
    let revision = take(client, slot, Some(found), config, "watched folder".to_owned()).await?.id;
    let active = client.slots().await?.into_iter().find(|s| s.slot == slot).map(|s| s.active.revision);
    if active != Some(revision) {
        let terms = Terms { why: "watched folder", ..Terms::default() };
        client.move_revision(revision, Move::Activate, terms).await?;
    }
    Ok(revision)
}
