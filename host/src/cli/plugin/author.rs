//! What an author of components does beside any shop: no database, no secret.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::{Subcommand, ValueEnum};
use ecomm::clock::Clock;
use ecomm::kit::conformance::Extent;
use ecomm::kit::{self, Language, Project, new::From};
use ecomm::plugin::{Care, Impure, Offline, Progress, Revision, Slot, builtin};
use serde_json::Value;

use super::{SlotName, object, progress, read, say, show, table};
use crate::cli::output::complain;

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum LanguageName {
    Rust,
    Ts,
    Js,
    Python,
    Go,
    C,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum BuiltInName {
    DefaultRenderer,
    DefaultPolicy,
}

/// What is tried, and on which event.
#[derive(clap::Args)]
pub(super) struct Tried {
    /// A project, or a component's file. Where there is no project, with a slot: the built-in component.
    #[arg(default_value = ".")]
    file: PathBuf,
    /// The component's slot, where it is no project.
    #[arg(long)]
    slot: Option<SlotName>,
    /// A JSON file for its `configure`; a project's config.json when none.
    #[arg(long)]
    plugin_config: Option<PathBuf>,
    /// An event of the project, one of the samples, such as "order-shipped" or "shipped", or a JSON file.
    #[arg(long, default_value = "order-placed")]
    event: String,
}

impl Tried {
    async fn open(&self) -> anyhow::Result<(Source, kit::project::Event)> {
        let source = Source::open(&self.file, self.slot, self.plugin_config.as_deref()).await?;
        let event = kit::project::find(&self.event, &source.events)?;
        Ok((source, event))
    }
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Take a component through the gate and keep nothing.
    Check {
        /// Where it would serve.
        slot: SlotName,
        /// The component.
        file: PathBuf,
        /// A JSON file for its `configure`.
        #[arg(long)]
        plugin_config: Option<PathBuf>,
    },
    /// Begin a project that builds as it is.
    New {
        /// Its folder, whose name is the component's.
        folder: PathBuf,
        /// Where the component is to serve.
        #[arg(long, required_unless_present = "from")]
        slot: Option<SlotName>,
        /// What it is written in.
        #[arg(long, required_unless_present = "from")]
        lang: Option<LanguageName>,
        /// Begin with the source of a built-in component, in Rust.
        #[arg(long, conflicts_with_all = ["slot", "lang"])]
        from: Option<BuiltInName>,
    },
    /// Write the contract that this program offers into a project's folder `wit`.
    Wit {
        /// The project.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Build a project's component, saying how.
    Build {
        /// The project.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Show what a component says to an event: the mail, or each decision, and what it took.
    Render {
        #[command(flatten)]
        tried: Tried,
        /// The customer's language, such as "de".
        #[arg(long)]
        locale: Option<String>,
        /// Where to write the HTML part.
        #[arg(long)]
        html: Option<PathBuf>,
    },
    /// Test a project's component: the gate, its own events and generated ones, golden answers. Ends with status 0 when all
    /// holds, 1 when something does not, 2 when it could not be tried.
    Test {
        /// The project.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// So many generated events.
        #[arg(long, default_value_t = 1_000)]
        cases: u64,
        /// Where they begin; the same seed, the same events.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Keep what it says now as the golden answers.
        #[arg(long)]
        accept: bool,
    },
    /// Build a project whenever it changes, and show what it says on a page that follows.
    Dev {
        /// The project.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// The page's port on 127.0.0.1; any free one when 0.
        #[arg(long, default_value_t = 8788)]
        port: u16,
    },
    /// Compare what a component takes with the built-in of its slot, on the same event.
    Bench {
        #[command(flatten)]
        tried: Tried,
        /// So many calls of each.
        #[arg(long, default_value_t = 200)]
        calls: usize,
    },
}

pub(super) async fn run(command: Command, config: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { slot, file, plugin_config } => {
            let source = Source::open(&file, Some(slot), plugin_config.as_deref()).await?;
            let report = serde_json::to_value(&Bench::open(config, source, Care::Gate).await?.revision.report)?;
            say(&if json { show(&report)? } else { table::report(&report) })?;
        }
        Command::New { folder, slot, lang, from } => {
            let (slot, from) = match (slot, lang, from) {
                (_, _, Some(BuiltInName::DefaultRenderer)) => (Slot::Renderer, From::BuiltIn),
                (_, _, Some(BuiltInName::DefaultPolicy)) => (Slot::Policy, From::BuiltIn),
                (Some(slot), Some(lang), None) => (slot.into(), From::Starter(lang.into())),
                _ => bail!("give --slot and --lang, or --from"),
            };
            let folder = std::path::absolute(&folder).context("the folder")?;
            kit::new::create(&folder, slot, from)?;
            let folder = folder.display();
            say(&format!("{folder} is begun. Next:\n  ecomm plugin build {folder}\n  ecomm plugin test {folder}"))?;
        }
        Command::Wit { folder } => {
            kit::project::write_wit(&folder)?;
            say(&format!("{} is {}", folder.join("wit").display(), ecomm::plugin::CONTRACT))?;
        }
        Command::Build { folder } => {
            kit::build::build(&Project::open(&folder)?, &|line| drop(say(line))).await?;
        }
        Command::Render { tried, locale, html } => {
            let (source, mut event) = tried.open().await?;
            if let Some(locale) = locale {
                event = event.in_locale(locale.try_into().map_err(|e: String| anyhow!("the locale {e}"))?);
            }
            let bench = Bench::open(config, source, Care::Draft).await?;
            return render(&bench, &event, html.as_deref(), json).await;
        }
        Command::Test { folder, cases, seed, accept } => {
            // What could not be tried is told apart from what does not hold.
            return test(&folder, (cases, seed, accept), config, json).await.or_else(|e| {
                complain(&e);
                Ok(ExitCode::from(2))
            });
        }
        Command::Dev { folder, port } => {
            let (offline, _) = offline(config)?;
            let workshop = kit::dev::Workshop::new(&folder, offline, Clock::system())?;
            let address = ("127.0.0.1", port);
            let listener = tokio::net::TcpListener::bind(address).await;
            let listener = listener.with_context(|| format!("port {port}; take another with --port"))?;
            say(&format!("http://{} shows it; Ctrl-C ends", listener.local_addr()?))?;
            tokio::select! {
                ended = workshop.run(listener, &|line| drop(say(line))) => ended?,
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Command::Bench { tried, calls } => {
            let (source, event) = tried.open().await?;
            let bench = Bench::open(config, source, Care::Gate).await?;
            let rows = kit::bench::run(&bench.offline, &bench.revision, &event, calls).await?;
            say(&if json { show(&rows)? } else { table::bench(&rows) })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A plugin host with the settings of the file and the environment.
fn offline(config: Option<&Path>) -> anyhow::Result<(Offline, Impure)> {
    let config = super::super::load_for_authors(config)?;
    let relays: Vec<_> = config.mail.relays.iter().map(|relay| relay.name.clone()).collect();
    Ok((Offline::new(&config.plugins, &Clock::system(), &relays)?, config.plugins.impure))
}

/// What is to be tried: of a project, or of a component's file.
struct Source {
    slot: Slot,
    wasm: Arc<[u8]>,
    config: String,
    events: Vec<kit::project::Event>,
}

impl Source {
    async fn open(path: &Path, slot: Option<SlotName>, config: Option<&Path>) -> anyhow::Result<Self> {
        let given = match config {
            Some(_) => Some(Value::Object(object(config).await?).to_string()),
            None => None,
        };
        let is_project = !is_here(path) || path.join(kit::project::SETTINGS).is_file();
        if path.is_dir() && (slot.is_none() || is_project) {
            let project = Project::open(path)?;
            let (wasm, events) = (project.wasm()?, project.events()?);
            let config = given.map_or_else(|| project.config(), Ok)?;
            return Ok(Self { slot: project.settings.slot, wasm, config, events });
        }
        let slot = slot.context("a component's file needs --slot renderer or --slot policy")?.into();
        let wasm = if is_here(path) { builtin(slot).into() } else { read(path).await?.into() };
        Ok(Self { slot, wasm, config: given.unwrap_or_else(|| "{}".to_owned()), events: Vec::new() })
    }
}

/// Whether no other project or file was named.
fn is_here(path: &Path) -> bool {
    path == Path::new(".")
}

/// A component that is ready to be asked.
struct Bench {
    offline: Offline,
    revision: Arc<Revision>,
    impure: Impure,
}

impl Bench {
    async fn open(config: Option<&Path>, source: Source, care: Care) -> anyhow::Result<Self> {
        let (offline, impure) = offline(config)?;
        let steps = Progress::default();
        let Source { slot, wasm, config: own, .. } = source;
        let revision = progress::watch(&steps, offline.admit(slot, Some(wasm), own, care, &steps)).await?;
        Ok(Self { offline, revision, impure })
    }
}

async fn render(
    bench: &Bench,
    event: &kit::project::Event,
    html: Option<&Path>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let shown = kit::show::show(&bench.offline, &bench.revision, event).await;
    if let Some(path) = html {
        let part = shown.iter().find_map(|shown| shown.email()?.html.as_ref());
        let part = part.with_context(|| format!("there is no HTML part for {}", path.display()))?;
        tokio::fs::write(path, part).await.with_context(|| path.display().to_string())?;
    }
    if json {
        let rows = shown.iter().map(|s| {
            let answer = s.answer.as_ref();
            serde_json::json!({
                "question": s.question.name(), "answer": answer.ok().map(|r| &r.output),
                "fault": answer.err().map(ToString::to_string), "fuel": answer.ok().map(|r| r.usage.fuel),
                "memory_bytes": answer.ok().map(|r| r.usage.memory_bytes), "time_us": answer.ok().map(|r| r.time_us),
            })
        });
        say(&show(&rows.collect::<Vec<_>>())?)?;
    } else {
        for one in &shown {
            say(&one.text())?;
        }
        if let Some(cost) = shown.iter().find_map(kit::show::Shown::cost) {
            say(&format!("\n[{cost}]"))?;
        }
    }
    Ok(if shown.iter().all(|s| s.answer.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn test(
    folder: &Path,
    (cases, seed, accepts): (u64, u64, bool),
    config: Option<&Path>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let project = Project::open(folder)?;
    project.check_wit()?;
    let bench = Bench::open(config, Source::open(folder, None, None).await?, Care::Gate).await?;
    let extent = Extent { cases, seed, accepts, impure: bench.impure };
    let outcome = kit::conformance::test(&project, &bench.offline, &bench.revision, extent).await?;
    say(&if json { show(&outcome)? } else { table::outcome(&outcome) })?;
    Ok(if outcome.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl std::convert::From<LanguageName> for Language {
    fn from(name: LanguageName) -> Self {
        match name {
            LanguageName::Rust => Self::Rust,
            LanguageName::Ts => Self::Ts,
            LanguageName::Js => Self::Js,
            LanguageName::Python => Self::Python,
            LanguageName::Go => Self::Go,
            LanguageName::C => Self::C,
        }
    }
}
