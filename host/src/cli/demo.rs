//! `ecomm demo`: a whole host on an embedded database, and a story that runs through its public API.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use ecomm::clock::Clock;
use ecomm::config::{Config, PREFIX};
use ecomm::hex;
use ecomm::host::{Host, Roles};
use ecomm::shop::user::NewUser;

use super::story;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Keep everything here; a temporary directory when left out.
    #[arg(long)]
    data: Option<PathBuf>,
    /// End after the story, successfully only if every mail arrived.
    #[arg(long)]
    exit: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let clock = Clock::system();
    let temporary = if args.data.is_none() { Some(tempfile::tempdir()?) } else { None };
    let folder = match (&args.data, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => PathBuf::new(),
    };
    let mails = folder.join("mails");
    std::fs::create_dir_all(&mails).with_context(|| format!("cannot use {}", folder.display()))?;
    let config = settings(&folder, &mails, &clock)?;
    ecomm::telemetry::start(&config.log).map_err(anyhow::Error::msg)?;

    let begun = clock.monotonic_ms();
    let host = Host::start(config, Roles::ALL, clock.clone()).await?;
    let mut out = std::io::stdout();
    let (Some(http), Some(grpc)) = (host.http, host.grpc) else { anyhow::bail!("the host serves nothing") };
    let came = host.service.plugins.routing().renderer.builtin.report.cached;
    let how = if came { "; the built-in components came compiled" } else { "" };
    writeln!(out, "\nReady in {} ms{how}.", clock.monotonic_ms() - begun)?;
    writeln!(out, "  REST    http://{http}{}", moved(http, 8080))?;
    writeln!(out, "  gRPC    {grpc}{}", moved(grpc, 9091))?;
    if let Some(metrics) = host.metrics {
        writeln!(out, "  metrics http://{metrics}/metrics")?;
    }
    writeln!(out, "  data    {}", folder.display())?;
    writeln!(out, "  mails   {}", mails.display())?;

    let tag = hex::encode(&clock.random::<3>());
    let admin = (format!("admin-{tag}@shop.example"), password(&clock));
    let customer = (format!("ada-{tag}@example.com"), password(&clock));
    let new = new_user(&admin.0, "The Admin", &admin.1)?;
    ecomm::service::create_admin(&host.service.store, &clock, new).await?;
    writeln!(out, "  admin   {}   password {}", admin.0, admin.1)?;
    writeln!(out, "  customer {}   password {}\n", customer.0, customer.1)?;

    let ran = story::run(&host, http, &admin, &customer).await;
    if let Err(e) = &ran {
        writeln!(out, "\nThe story broke off: {}", ecomm::cause::chain(e.as_ref()))?;
    }
    if !args.exit {
        writeln!(out, "\nThe host stays up; try it with the accounts above. Ctrl-C ends it.")?;
        tokio::signal::ctrl_c().await?;
    }
    host.stop().await;
    Ok(if ran.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn settings(folder: &Path, mails: &Path, clock: &Clock) -> anyhow::Result<Config> {
    let path = |p: &Path| p.display().to_string();
    let settings = vec![
        ("DATABASE__URL", format!("sqlite:{}", path(&folder.join("ecomm.db")))),
        ("AUTH__SECRET", secret(folder, clock)?),
        ("AUTH__ACCESS_TOKEN_MS", "86400000".to_owned()),
        ("HTTP__LISTEN", free(8080)?.to_string()),
        ("GRPC__LISTEN", free(9091)?.to_string()),
        ("TELEMETRY__LISTEN", free(9464)?.to_string()),
        ("SHOP__NAME", "The Demo Shop".to_owned()),
        ("SHOP__ORDER_URL", "https://shop.example/orders/{number}".to_owned()),
        ("MAIL__FROM_NAME", "The Demo Shop".to_owned()),
        ("PRICING__TAX_BASIS_POINTS", "2000".to_owned()),
        ("PRICING__SHIPPING_FLAT", "499".to_owned()),
        ("PRICING__SHIPPING_FREE_FROM", "10000".to_owned()),
        ("MAILBOX__ENABLED", "true".to_owned()),
        ("MAILBOX__LISTEN", "127.0.0.1:0".to_owned()),
        ("MAILBOX__PATH", path(mails)),
        ("PLUGINS__CACHE_PATH", path(&folder.join("compiled"))),
        ("LOG__FILTER", "warn".to_owned()),
    ];
    // Nothing of the environment: a database that is named there must not get the demo's admin.
    Ok(Config::load(None, settings.into_iter().map(|(key, value)| (format!("{PREFIX}{key}"), value)))?)
}

/// Made once for a data folder: compiled components in it are bound to the secret.
fn secret(folder: &Path, clock: &Clock) -> anyhow::Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join("secret");
    if let Ok(secret) = std::fs::read_to_string(&path) {
        return Ok(secret);
    }
    let secret = hex::encode(&clock.random::<32>());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(secret.as_bytes())?;
    Ok(secret)
}

/// The port, or the next free one.
fn free(port: u16) -> anyhow::Result<SocketAddr> {
    let addresses = (port..port.saturating_add(100)).map(|p| SocketAddr::from((Ipv4Addr::LOCALHOST, p)));
    let free = addresses.into_iter().find(|a| TcpListener::bind(a).is_ok());
    free.with_context(|| format!("no free port from {port} on"))
}

fn moved(address: SocketAddr, usual: u16) -> String {
    if address.port() == usual { String::new() } else { format!("   ({usual} is taken)") }
}

fn password(clock: &Clock) -> String {
    hex::encode(&clock.random::<8>())
}

fn new_user(email: &str, name: &str, password: &str) -> anyhow::Result<NewUser> {
    let user = serde_json::json!({ "email": email, "name": name, "password": password });
    Ok(serde_json::from_value(user)?)
}
