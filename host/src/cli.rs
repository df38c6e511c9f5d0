//! The command line: what can be asked for, and the runtime under it.

mod admin;
mod backup;
mod bulk;
mod demo;
mod dkim;
mod doctor;
mod hosts;
mod manual;
mod notification;
pub(crate) mod output;
mod password;
mod plugin;
mod serve;
mod session;
mod shop;
mod story;
mod suppression;
mod webhook;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::Context;
use clap::{CommandFactory as _, Parser, Subcommand};
use ecomm::clock::Clock;
use ecomm::config::{Config, PREFIX};
use ecomm::{host, telemetry};
use secrecy::ExposeSecret as _;

/// An e-commerce backend whose customer notifications are programmable and cannot be lost.
#[derive(Parser)]
#[command(name = "ecomm", version = version())]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the host: REST, gRPC and the worker.
    Serve(serve::Args),
    /// Bring the database's schema up to date.
    Migrate {
        /// The settings; see config.default.toml.
        #[arg(long, env = "ECOMM_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Write an embedded database into a file, while hosts go on.
    Backup(backup::BackupArgs),
    /// Put such a file in the database's place, once the hosts are stopped. What is queued in it is sent again as in doubt.
    Restore(backup::RestoreArgs),
    /// Look at everything that a host of these settings depends on, and say what to do where something is wrong.
    Doctor(doctor::Args),
    /// Make keys that sign mails as the sender's own (DKIM), and say what to publish of them.
    Dkim {
        #[command(subcommand)]
        command: dkim::Command,
    },
    /// Manage admins.
    Admin {
        #[command(subcommand)]
        command: admin::Command,
    },
    /// Inspect, try, stage, activate and roll back components.
    Plugin(plugin::Args),
    /// Deal with notifications and their queue.
    Notification(notification::Args),
    /// Deal with addresses that get no more mails.
    Suppression(suppression::Args),
    /// Servers that hear of changes of orders (webhooks).
    Webhook(webhook::Args),
    /// List the hosts that are there.
    Hosts(shop::ShopArgs),
    /// Log in at a host far away, for commands with --server. The password is asked for, or the first line of standard
    /// input.
    Login(session::LogIn),
    /// End the session at a host far away.
    Logout(shop::ServerArgs),
    /// Print the key, in hex, by which tokens of links with this purpose are checked (HMAC-SHA-256 of the value): for the
    /// shop's pages that such links lead to.
    LinkKey {
        /// As components name it, such as "unsubscribe".
        purpose: String,
        /// The settings; see config.default.toml.
        #[arg(long, env = "ECOMM_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Print what a shell needs to complete these commands, such as `ecomm completions bash > /etc/bash_completion.d/ecomm`.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command.
    Man {
        /// Where to, such as /usr/local/share/man/man1.
        folder: PathBuf,
    },
    /// The plugins' compiler: a component on stdin, compiled code on stdout.
    #[command(name = ecomm::plugin::COMPILER, hide = true)]
    Compile { memory_bytes_max: u64, cpu_seconds_max: u64, niceness: u8, optimize: u8, is_metered: u8 },
    /// Show the main job on an embedded database: order in, components run, mail out.
    Demo(demo::Args),
}

/// The version, with the commit that it was built of, where that is known, and the newest schema that it knows.
fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let commit = match env!("ECOMM_COMMIT") {
            "" => String::new(),
            commit => format!("commit {commit}, "),
        };
        format!("{} ({commit}schema {})", env!("CARGO_PKG_VERSION"), ecomm::store::Store::schema_known())
    })
}

/// Runs the command of this process's arguments.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Command::Compile { memory_bytes_max, cpu_seconds_max, niceness, optimize, is_metered } = args.command {
        let (bytes, seconds) = (memory_bytes_max, cpu_seconds_max);
        let status = ecomm::plugin::compile_for_parent(bytes, seconds, niceness, optimize, is_metered)?;
        return Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)));
    }
    let runtime = ecomm::host::runtime()?;
    runtime.block_on(async {
        match args.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Migrate { config } => migrate(config.as_deref()).await,
            Command::Backup(args) => backup::back_up(args).await,
            Command::Restore(args) => Box::pin(backup::restore(args)).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Dkim { command } => dkim::run(command),
            Command::Admin { command } => admin::run(command).await,
            Command::LinkKey { purpose, config } => link_key(&purpose, config.as_deref()),
            Command::Plugin(args) => plugin::run(args).await,
            Command::Notification(args) => notification::run(args).await,
            Command::Suppression(args) => suppression::run(args).await,
            Command::Webhook(args) => webhook::run(args).await,
            Command::Hosts(args) => hosts::run(args).await,
            Command::Login(args) => session::log_in(args).await,
            Command::Logout(at) => session::log_out(at).await,
            Command::Demo(args) => Box::pin(demo::run(args)).await,
            Command::Completions { shell } => manual::completions(shell, Args::command()),
            Command::Man { folder } => manual::pages(&folder, Args::command()),
            Command::Compile { .. } => unreachable!("needs no runtime; see above"),
        }
    })
}

/// The settings of the file and of the environment.
fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let config = Config::load(file, std::env::vars()).context("the settings")?;
    telemetry::start(&config.log).map_err(anyhow::Error::msg)?;
    Ok(config)
}

/// The same for what an author of plugins does beside any shop: the secret guards nothing there.
fn load_for_authors(file: Option<&Path>) -> anyhow::Result<Config> {
    let none = (format!("{PREFIX}AUTH__SECRET"), "-".repeat(ecomm::service::SECRET_BYTES_MIN));
    let config = Config::load(file, std::env::vars().chain([none])).context("the settings")?;
    telemetry::start(&config.log).map_err(anyhow::Error::msg)?;
    Ok(config)
}

fn link_key(purpose: &str, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = load(file)?;
    let key = ecomm::plugin::format::link_key(config.auth.secret.expose_secret().as_bytes(), purpose);
    writeln!(std::io::stdout(), "{}", ecomm::hex::encode(&key))?;
    Ok(ExitCode::SUCCESS)
}

async fn migrate(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut config = load(file)?;
    config.database.migrate_on_start = true;
    host::open(&config, Clock::system()).await?.close().await;
    Ok(ExitCode::SUCCESS)
}
