//! `ecomm dkim`: keys that sign mails, and what to publish of them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ecomm::mail::dkim::key::{Algorithm, Key, KeySettings};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make a key, and print the settings that name it and the record to publish.
    New {
        /// How it signs.
        #[arg(long, value_enum, default_value_t = Kind::Rsa)]
        algorithm: Kind,
        /// The sender's domain, or one above it.
        #[arg(long)]
        domain: String,
        /// Its name in the DNS, such as s2026.
        #[arg(long)]
        selector: String,
        /// Where it is written; never over a file that is there.
        #[arg(long)]
        out: PathBuf,
    },
    /// Print the records to publish of the keys in the settings, as lines of a zone.
    Dns {
        /// The settings; see config.default.toml.
        #[arg(long, env = "ECOMM_CONFIG")]
        config: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Kind {
    /// RSA of 2048 bits, which every mailbox knows.
    Rsa,
    /// Ed25519, shorter and faster; not every mailbox knows it.
    Ed25519,
}

pub(super) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::New { algorithm, domain, selector, out } => {
            let algorithm = match algorithm {
                Kind::Rsa => Algorithm::Rsa,
                Kind::Ed25519 => Algorithm::Ed25519,
            };
            new(algorithm, &domain, &selector, &out)
        }
        Command::Dns { config } => {
            let keys = super::load(config.as_deref())?.mail.dkim;
            if keys.is_empty() {
                anyhow::bail!("mail.dkim names no key; make one with `ecomm dkim new`");
            }
            for settings in &keys {
                let key = Key::open(settings).with_context(|| format!("the key \"{}\"", settings.selector))?;
                print(settings, &key)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn new(algorithm: Algorithm, domain: &str, selector: &str, out: &Path) -> anyhow::Result<ExitCode> {
    let settings = KeySettings::new(domain, selector, out);
    ecomm::mail::dkim::check(&settings)?;
    let pem = Key::generate(algorithm).map_err(anyhow::Error::msg)?;
    ecomm::kit::sign::write_secret(out, &pem)?;
    let key = Key::open(&settings)?;
    let mut stdout = std::io::stdout();
    // The host may be started elsewhere.
    let path = std::path::absolute(out)?;
    writeln!(stdout, "# In the settings:\n[[mail.dkim]]")?;
    for (name, value) in [("domain", domain), ("selector", selector), ("key_path", &path.to_string_lossy())] {
        writeln!(stdout, "{name} = {}", serde_json::to_string(value)?)?;
    }
    // Mails that went out unsigned before can still be made again.
    writeln!(stdout, "signs_from = \"{}\"", ecomm::clock::rfc3339::text(ecomm::clock::Clock::system().now_ms()))?;
    writeln!(stdout, "\n# In the zone, before a mail is signed by it:")?;
    print(&settings, &key)?;
    Ok(ExitCode::SUCCESS)
}

fn print(settings: &KeySettings, key: &Key) -> anyhow::Result<()> {
    let line = key.zone_line(&settings.record_name()).map_err(anyhow::Error::msg)?;
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
