//! `ecomm admin`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use ecomm::clock::Clock;
use ecomm::shop::user::NewUser;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create an admin. The password is asked for, or the first line of standard input.
    Create {
        /// Must not be taken.
        #[arg(long)]
        email: String,
        /// As mails address them.
        #[arg(long, default_value = "Admin")]
        name: String,
        /// The settings; see config.default.toml.
        #[arg(long, env = "ECOMM_CONFIG")]
        config: Option<PathBuf>,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Create { email, name, config } = command;
    let config = super::load(config.as_deref())?;
    let password = super::password::choose(&format!("Password of {email}"))?;
    let text = |what: &str, e: String| anyhow::anyhow!("{what}: {e}");
    let new = NewUser {
        email: email.try_into().map_err(|e| text("--email", e))?,
        name: name.try_into().map_err(|e| text("--name", e))?,
        password: password.try_into().map_err(|e| text("the password", e))?,
        locale: ecomm::shop::user::english(),
        time_zone: ecomm::shop::user::utc(),
        attributes: ecomm::shop::Attributes::default(),
    };
    let clock = Clock::system();
    let store = ecomm::host::open(&config, clock.clone()).await?;
    let created = ecomm::service::create_admin(&store, &clock, new).await;
    store.close().await;
    writeln!(std::io::stdout(), "admin {} created", created?.id)?;
    Ok(ExitCode::SUCCESS)
}
