//! The fault rig: `cargo test --release --test faults -- --seed 7 --database sqlite,postgres,mariadb --long`. Hosts under load are
//! killed, stopped and cut off from what they need. What arrived at a relay of the rig's own is then held against what clients were
//! answered and what the journal says. Without arguments: a minute on `SQLite`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a panic is how a test fails, and it prints a report"
)]

mod cluster;
mod database;
mod judge;
mod load;
mod proxy;
mod random;
mod report;
mod rig;
mod scenarios;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

use database::{Kind, Server};
use report::Report;
use scenarios::Scenario;

/// Breaks what a shop depends on, and counts what became of its mails.
#[derive(clap::Parser)]
struct Arguments {
    /// Only scenarios whose name has one of these words in it.
    names: Vec<String>,
    /// What is broken when follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Servers are started for the run, as users of their own. Left out: the quick scenarios on `SQLite`.
    #[arg(long, value_delimiter = ',')]
    database: Vec<Kind>,
    /// As many faults as the reports in the book count; minutes for each scenario.
    #[arg(long)]
    long: bool,
    /// Orders in a second; each is placed and then shipped.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// The program under test.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_ecomm"))]
    program: PathBuf,
    /// The program of the release before, for rolling upgrades.
    #[arg(long, env = "ECOMM_TEST_LAST_RELEASE")]
    last_release: Option<PathBuf>,
    /// Where the tables are written as well.
    #[arg(long)]
    report: Option<PathBuf>,
    #[command(flatten)]
    ignored: Ignored,
}

/// What `cargo test -- …` tells every test binary.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, clippy::struct_field_names, reason = "the names and kinds are libtest's")]
struct Ignored {
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    no_capture: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(short, long, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    skip: Vec<String>,
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    format: Option<String>,
}

impl Arguments {
    /// None where there is no history to build it from, either.
    fn last_release(&self) -> Option<&Path> {
        self.last_release.as_deref().filter(|program| !program.as_os_str().is_empty())
    }
}

fn main() -> ExitCode {
    ecomm::host::use_ring();
    let mut arguments = Arguments::parse();
    let all = if arguments.database.is_empty() && !arguments.long { Scenario::QUICK } else { Scenario::ALL };
    if arguments.database.is_empty() {
        arguments.database.push(Kind::Sqlite);
    }
    let chosen = |scenario: &&Scenario| {
        let is_named = |word: &String| scenario.name().contains(word.as_str());
        (arguments.names.is_empty() || arguments.names.iter().any(is_named))
            && !arguments.ignored.skip.iter().any(is_named)
    };
    let scenarios: Vec<_> = all.iter().filter(chosen).copied().collect();
    if arguments.ignored.list {
        for scenario in scenarios {
            println!("{}: test", scenario.name());
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report = runtime.block_on(run(&arguments, &scenarios));
    if let Some(path) = &arguments.report {
        std::fs::write(path, report.to_string()).unwrap();
    }
    println!("\n{report}\n{}", report.summary());
    if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether what is left out is a failure, as of the other tests.
fn is_everything_asked_for() -> bool {
    std::env::var_os("ECOMM_TEST_ALL").is_some()
}

async fn run(arguments: &Arguments, scenarios: &[Scenario]) -> Report {
    let mut report = Report::new(arguments);
    for &kind in &arguments.database {
        let mut server = Server::start(kind).await;
        for &scenario in scenarios {
            let (scenario_name, database) = (scenario.name(), kind.name());
            if !scenario.is_for(kind) {
                continue;
            }
            if let Some(what) = scenario.lacks(arguments) {
                println!("left out on {database}: {scenario_name}, which needs {what}");
                report.leave_out(is_everything_asked_for());
                continue;
            }
            println!("\n{scenario_name} on {database}");
            report.add(kind, scenario, Box::pin(scenario.run(arguments, &mut server)).await);
        }
    }
    report
}
