//! `ecomm doctor`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ecomm::clock::Clock;
use ecomm::config::{Config, ConfigError};
use ecomm::doctor::{self, Check, Finding, Level, Options};
use ecomm::telemetry;

use super::output::{columns, say, show};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Send a test mail to this address by each relay.
    #[arg(long, value_name = "ADDRESS")]
    send_test: Option<String>,
    /// The selector of a DKIM key of the sender's domain; may be given several times.
    #[arg(long, value_name = "NAME")]
    dkim_selector: Vec<String>,
    /// Ask this name server instead of the system's resolver.
    #[arg(long, value_name = "ADDRESS:PORT")]
    resolver: Option<SocketAddr>,
    /// Answer for programs: an array of findings.
    #[arg(long)]
    json: bool,
    /// The settings; see config.default.toml.
    #[arg(long, env = "ECOMM_CONFIG")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let send_test = args.send_test.clone().map(TryInto::try_into).transpose();
    let send_test = send_test.map_err(|e: String| anyhow::anyhow!("--send-test: {e}"))?;
    let findings = match load(&args) {
        Ok(config) => {
            let options = Options { send_test, resolver: args.resolver, dkim_selectors: args.dkim_selector };
            let mut findings = vec![Finding::ok(Check::Settings, "", "read, and every key is known")];
            findings.extend(doctor::examine(&config, &options, &Clock::system()).await);
            findings
        }
        Err(e) => vec![Finding::fault(
            Check::Settings,
            "",
            e.to_string(),
            "correct it: a host with these settings does not start",
        )],
    };
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let text = if args.json { show(&findings)? } else { lines(&findings) };
    say(&text)?;
    Ok(if worst == Level::Fault { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the parts of a host log is in the findings already.
fn load(args: &Args) -> Result<Config, ConfigError> {
    let mut config = Config::load(args.config.as_deref(), std::env::vars())?;
    "error".clone_into(&mut config.log.filter);
    // A filter of our own is one.
    let _ = telemetry::start(&config.log);
    Ok(config)
}

fn lines(findings: &[Finding]) -> String {
    let level = |level| match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Fault => "FAULT",
    };
    let mut rows = Vec::new();
    for finding in findings {
        let Finding { check, subject, says, advice, .. } = finding;
        rows.push(vec![level(finding.level).to_owned(), check.as_str().to_owned(), subject.clone(), says.clone()]);
        if !advice.is_empty() {
            rows.push(vec![String::new(), String::new(), String::new(), format!("→ {advice}")]);
        }
    }
    let count = |wanted| findings.iter().filter(|finding| finding.level == wanted).count();
    let (faults, warnings) = (count(Level::Fault), count(Level::Warning));
    format!("{}{} ok, {warnings} to be looked at, {faults} at fault\n", columns(&rows), count(Level::Ok))
}
