//! `ecomm plugin`: the use cases of the APIs, on a database or through a host. Running hosts follow within two seconds.

mod author;
mod install;
mod progress;
mod publish;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use ecomm::grpc::client::Client;
use ecomm::service::{Move, Operation, Plan, Require, Slot, SlotInfo, Terms};
use serde_json::{Map, Value, json};

use super::output::{say, show};
use super::shop::{Shop, ShopArgs};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    shop: ShopArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum SlotName {
    Renderer,
    Policy,
}

impl From<SlotName> for Slot {
    fn from(name: SlotName) -> Self {
        match name {
            SlotName::Renderer => Self::Renderer,
            SlotName::Policy => Self::Policy,
        }
    }
}

/// Why, and which version of the slot is expected.
#[derive(clap::Args)]
struct Change {
    /// Why, for the history.
    #[arg(long, default_value = "")]
    why: String,
    /// The slot's version that the change expects.
    #[arg(long)]
    expect: Option<i64>,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Author(author::Command),
    #[command(flatten)]
    Publish(publish::Command),
    /// Who serves what, and the revisions there are.
    Ls,
    /// One revision, with the gate's report.
    Inspect {
        /// Its number.
        revision: i64,
    },
    /// Take a component through the gate and keep it, ready.
    Install(install::Args),
    /// For development: install and activate `renderer.wasm` and `policy.wasm` of a folder, with `renderer.json` and
    /// `policy.json`, whenever they change. What does not pass the gate changes nothing.
    Watch {
        /// The folder.
        folder: PathBuf,
    },
    /// Render a stored notification by a revision and by the active one.
    Preview {
        /// The revision.
        revision: i64,
        /// The notification.
        notification: i64,
    },
    /// Run a revision over stored events, beside the active one.
    Replay {
        /// The revision.
        revision: i64,
        /// The newest so many events.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
        last: u64,
    },
    /// Let a revision see live events and answer nobody.
    Shadow {
        /// The revision.
        revision: i64,
        #[command(flatten)]
        change: Change,
    },
    /// Let a revision serve a part of the orders.
    Canary {
        /// The revision.
        revision: i64,
        /// Of a hundred orders, so many.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
        percent: u32,
        /// The shares that follow while it does no worse than the active revision.
        #[arg(long, value_delimiter = ',')]
        steps: Vec<u32>,
        /// Activate it after the last.
        #[arg(long)]
        then_activate: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Let a revision serve all.
    Activate {
        /// The revision.
        revision: i64,
        /// First replay so many stored events, and activate only if no more changed than --changed-percent-max.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        replay: Option<u64>,
        /// Of a hundred replayed events, so many may have changed; none may be without an answer.
        #[arg(long, default_value_t = 100.0, requires = "replay")]
        changed_percent_max: f64,
        #[command(flatten)]
        change: Change,
    },
    /// Let the revision before serve again, or the named one; at once.
    Rollback {
        /// The slot.
        slot: SlotName,
        /// Which revision.
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        to: Option<i64>,
        #[command(flatten)]
        change: Change,
    },
    /// Take a revision out for good.
    Quarantine {
        /// The revision.
        revision: i64,
        #[command(flatten)]
        change: Change,
    },
    /// What was done, the newest first.
    History,
    /// Installs, reloads and replays of all hosts, the newest first.
    Operations,
    /// Ask that an operation end early.
    Cancel {
        /// Its id.
        operation: i64,
    },
    /// Forget compiled code that no revision needs which may serve.
    Gc,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { shop, command } = args;
    let path = shop.config.as_deref();
    match command {
        Command::Author(command) => author::run(command, path, shop.json).await,
        Command::Publish(command) => publish::run(command, path, shop.json).await,
        command => {
            Box::pin(shop.work(async |opened| answer(opened, command, shop.json).await)).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn answer(shop: &Shop, command: Command, json: bool) -> anyhow::Result<()> {
    let client = &shop.client;
    let said = match command {
        Command::Ls => {
            let (slots, revisions) = (client.slots().await?, client.revisions().await?.items);
            return say(&if json {
                show(&json!({ "slots": slots, "revisions": revisions }))?
            } else {
                table::list(&slots, &revisions)
            });
        }
        Command::Inspect { revision } => {
            let revision = client.revision(revision).await?;
            return say(&if json { show(&revision)? } else { table::revision(&revision) });
        }
        Command::History => {
            let changes = client.changes().await?.items;
            return say(&if json { show(&changes)? } else { table::history(&changes) });
        }
        Command::Install(args) => {
            let revision = install::install(shop, args).await?;
            return say(&if json { show(&revision)? } else { table::revision(&revision) });
        }
        Command::Watch { folder } => return install::watch(client, &folder).await,
        Command::Preview { revision, notification } => {
            let preview = client.preview(revision, notification).await?;
            return say(&if json { show(&preview)? } else { table::preview(&preview) });
        }
        Command::Replay { revision, last } => {
            let replay = replay(client, revision, last).await?;
            return say(&if json { show(&replay)? } else { table::operation(&replay) });
        }
        Command::Operations => {
            let operations = client.operations().await?.items;
            return say(&if json { show(&operations)? } else { table::operations(&operations) });
        }
        Command::Cancel { operation } => {
            let operation = client.cancel_operation(operation).await?;
            return say(&if json { show(&operation)? } else { table::operation(&operation) });
        }
        Command::Gc => {
            let (files, bytes) = shop.collect_garbage().await?;
            json!({ "files": files, "bytes": bytes })
        }
        other => {
            let slots = [change(client, other).await?];
            return say(&if json { show(&slots)? } else { table::list(&slots, &[]) });
        }
    };
    say(&show(&said)?)
}

/// The commands that move a revision to another stage.
async fn change(client: &Client, command: Command) -> anyhow::Result<SlotInfo> {
    let (revision, to, change, plan, require) = match command {
        Command::Shadow { revision, change } => (revision, Move::Shadow, change, None, None),
        Command::Canary { revision, percent, steps, then_activate, change } => {
            let plan = (then_activate || !steps.is_empty()).then_some(Plan { steps, then_activate });
            (revision, Move::Canary(percent), change, plan, None)
        }
        Command::Activate { revision, replay: events, changed_percent_max, change } => {
            let require = match events {
                None => None,
                Some(last) => {
                    let replay = replay(client, revision, last).await?.id;
                    Some(Require { replay, changed_percent_max, faults_max: 0 })
                }
            };
            (revision, Move::Activate, change, None, require)
        }
        Command::Quarantine { revision, change } => (revision, Move::Quarantine, change, None, None),
        Command::Rollback { slot, to, change } => {
            let Change { why, expect } = change;
            return Ok(client.roll_back(slot.into(), to, why, expect).await?);
        }
        _ => bail!("not a change of stage"),
    };
    let terms = Terms { plan: plan.as_ref(), require, why: &change.why, expected: change.expect };
    Ok(client.move_revision(revision, to, terms).await?)
}

/// Runs a replay to its end.
async fn replay(client: &Client, revision: i64, last: u64) -> anyhow::Result<Operation> {
    let begun = client.replay(revision, last).await?;
    progress::follow(client, begun).await
}

async fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    tokio::fs::read(file).await.with_context(|| format!("cannot read {}", file.display()))
}

async fn object(file: Option<&Path>) -> anyhow::Result<Map<String, Value>> {
    let Some(file) = file else { return Ok(Map::new()) };
    serde_json::from_slice(&read(file).await?).with_context(|| format!("{} is not a JSON object", file.display()))
}
