//! `ecomm serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use ecomm::clock::Clock;
use ecomm::host::{Host, Roles};
use ecomm::plugin::Progress;
use ecomm::service::Slot;
use tokio::signal::unix::{SignalKind, signal};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The settings; see config.default.toml.
    #[arg(long, env = "ECOMM_CONFIG")]
    config: Option<PathBuf>,
    /// What this host does.
    #[arg(long, value_delimiter = ',', default_values = ["api", "grpc", "worker"])]
    roles: Vec<Role>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Api,
    Grpc,
    Worker,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = super::load(args.config.as_deref())?;
    let has = |role| args.roles.contains(&role);
    let roles = Roles { api: has(Role::Api), grpc: has(Role::Grpc), worker: has(Role::Worker) };
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let host = Host::start(config, roles, Clock::system()).await?;
    let address = |a: Option<std::net::SocketAddr>| a.map_or_else(|| "off".to_owned(), |a| a.to_string());
    tracing::info!(host.http = address(host.http), host.grpc = address(host.grpc), host.worker = roles.worker, "ready");
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => reload(&host).await,
        }
    }
    tracing::info!("stopping");
    host.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Reads every slot's component and config again. What does not pass the gate changes nothing.
async fn reload(host: &Host) {
    for slot in Slot::ALL {
        match host.service.reload(slot, "signal", &Progress::default()).await {
            Ok(revision) => {
                tracing::info!(plugin.revision = revision.number, plugin.digest = revision.digest, "{slot} reloaded");
            }
            Err(e) => tracing::error!(error = %e, "the {slot} was not reloaded; the old one serves on"),
        }
    }
}
