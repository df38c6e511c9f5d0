//! `ecomm serve`.

use std::os::fd::FromRawFd as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use ecomm::clock::Clock;
use ecomm::host::{Host, Roles, Sockets};
use ecomm::plugin::Progress;
use ecomm::service::Slot;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sd_notify::NotifyState;
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
    let host = Box::pin(Host::start_on(config, roles, Clock::system(), sockets()?)).await?;
    let address = |a: Option<std::net::SocketAddr>| a.map_or_else(|| "off".to_owned(), |a| a.to_string());
    tracing::info!(host.http = address(host.http), host.grpc = address(host.grpc), host.worker = roles.worker, "ready");
    tell(&[NotifyState::Ready]);
    // Half of it (`sd_watchdog_enabled(3)`): a thread pool that does not get to it does not serve either.
    let mut alive = tokio::time::interval(sd_notify::watchdog_enabled().unwrap_or(NEVER) / 2);
    // Compiling takes its time: meanwhile the host is alive, and can be stopped.
    let mut reloads = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            _ = alive.tick() => tell(&[NotifyState::Watchdog]),
            _ = hangup.recv(), if reloads.is_empty() => reloads.push(reload(&host)),
            Some(()) = reloads.next(), if !reloads.is_empty() => {}
        }
    }
    drop(reloads);
    tracing::info!("stopping");
    tell(&[NotifyState::Stopping]);
    host.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Where nobody watches.
const NEVER: Duration = Duration::from_hours(24);

/// Tells the service manager, if one asks (`sd_notify(3)`).
fn tell(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::warn!(error = %e, "the service manager does not hear of this host");
    }
}

/// The sockets that the service manager listens on for this host, by their names (`sd_listen_fds_with_names(3)`).
fn sockets() -> anyhow::Result<Sockets> {
    let mut sockets = Sockets::default();
    for (fd, name) in sd_notify::listen_fds_with_names()? {
        let place = match name.as_str() {
            "http" => &mut sockets.http,
            "grpc" => &mut sockets.grpc,
            other => anyhow::bail!(
                "a socket was passed that is called \"{other}\": FileDescriptorName= must be http or grpc"
            ),
        };
        #[expect(unsafe_code, reason = "a file descriptor of the service manager's is a number")]
        // SAFETY: it was opened for this process, which has taken it from nobody else before.
        let socket = unsafe { std::net::TcpListener::from_raw_fd(fd) };
        *place = Some(socket);
    }
    Ok(sockets)
}

/// Reads the certificates, and every slot's component and config again. What cannot be taken changes nothing.
async fn reload(host: &Host) {
    host.refresh_certificates();
    for slot in Slot::ALL {
        match host.service.reload(slot, "signal", &Progress::default()).await {
            Ok(revision) => {
                tracing::info!(plugin.revision = revision.number, plugin.digest = revision.digest, "{slot} reloaded");
            }
            Err(e) => tracing::error!(error = %e, "the {slot} was not reloaded; the old one serves on"),
        }
    }
}
