//! `ecomm notification`: the same use cases as over the APIs, on the database itself. Running hosts see what is queued
//! at their next look.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use ecomm::clock::Clock;
use ecomm::service::{QueueStatus, Retry, Service};

use super::plugin::{OPERATOR, say, show};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The settings; see config.default.toml.
    #[arg(long, env = "ECOMM_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a mail that was sent again, and say whether it is the same bytes.
    Reproduce {
        /// The notification.
        id: i64,
    },
    /// Queue a notification again that was held, failed or skipped.
    Retry {
        /// The notification.
        id: i64,
        /// Why, for the journal.
        #[arg(long, default_value = "")]
        why: String,
        /// Even if a newer mail of the order has gone out.
        #[arg(long)]
        allow_late: bool,
    },
    /// End a notification that is queued or held: its mail is not sent.
    Cancel {
        /// The notification.
        id: i64,
        /// Why, for the journal.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Take a notification out of the queue until it is tried again or cancelled.
    Hold {
        /// The notification.
        id: i64,
        /// Why, for the journal.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Say how the queue stands.
    Queue,
    /// Keep every host from claiming another notification until the queue is resumed.
    Pause {
        /// Why.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Let hosts deliver again.
    Resume,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let service = ecomm::host::offline(super::load(args.config.as_deref())?, Clock::system()).await?;
    let done = answer(&service, args.command, args.json).await;
    service.store.close().await;
    done
}

async fn answer(service: &Arc<Service>, command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let record = match command {
        Command::Reproduce { id } => return reproduce(service, id, json).await,
        Command::Retry { id, why, allow_late } => {
            service.retry_notification(OPERATOR, id, &Retry { why, allow_late }).await?
        }
        Command::Cancel { id, why } => service.cancel_notification(OPERATOR, id, &why).await?,
        Command::Hold { id, why } => service.hold_notification(OPERATOR, id, &why).await?,
        Command::Queue => return stands(&service.queue_status(OPERATOR).await?, json),
        Command::Pause { why } => return stands(&service.pause_queue(OPERATOR, &why).await?, json),
        Command::Resume => return stands(&service.resume_queue(OPERATOR).await?, json),
    };
    say(&if json {
        show(&record)?
    } else {
        format!("notification {} of order {} is {}", record.id, record.order_id, record.state.as_str())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn stands(queue: &QueueStatus, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        say(&show(queue)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let due = match queue.first_due_in_ms {
        None => "nothing waits".to_owned(),
        Some(ms) if ms > 0 => format!("{} wait, the first due in {ms} ms", queue.queued),
        Some(ms) => format!("{} wait, the first overdue by {} ms", queue.queued, -ms),
    };
    let why = |why: &str| if why.is_empty() { String::new() } else { format!(": {why}") };
    let paused = queue.paused.as_ref().map_or_else(String::new, |p| format!("; paused by {}{}", p.who, why(&p.why)));
    say(&format!("{due}, {} under way{paused}", queue.under_way))?;
    Ok(ExitCode::SUCCESS)
}

async fn reproduce(service: &Service, id: i64, json: bool) -> anyhow::Result<ExitCode> {
    let made = service.reproduce(OPERATOR, id).await?;
    if json {
        say(&show(&made)?)?;
    } else {
        say(&made.message)?;
        let verdict = if made.is_same { "the same bytes as were sent" } else { "NOT the bytes that were sent" };
        say(&format!("-- {verdict}: revision {}, seed {}, sha256 {}", made.revision, made.seed, made.made_hash))?;
    }
    Ok(if made.is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
