//! `ecomm notification`: the use cases of the APIs, on a database or through a host. Running hosts see what is queued at
//! their next look.

use std::process::ExitCode;

use clap::Subcommand;
use ecomm::clock::{Clock, rfc3339};
use ecomm::notification::Filter;
use ecomm::notification::report::{Delivery, Report};
use ecomm::service::{QueuePart, QueueStatus, Record, Retry};

use super::bulk::{self, Bulk, Which};
use super::output::{columns, row, say, show, table};
use super::shop::{Shop, ShopArgs};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    shop: ShopArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List notifications, the oldest first.
    Ls {
        #[command(flatten)]
        which: Which,
        /// The newest first, not the oldest.
        #[arg(long)]
        newest_first: bool,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show a notification, and what became of each attempt.
    Show {
        /// The notification.
        id: i64,
    },
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
    /// Act on all notifications that match, after saying how many do; one such operation is under way at a time.
    #[command(subcommand)]
    Bulk(Bulk),
    /// List bulk operations, the newest first.
    Operations {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show how far a bulk operation is, and why notifications stayed as they were.
    Operation {
        /// The operation.
        id: i64,
        /// End it; what it has done stays done.
        #[arg(long)]
        cancel: bool,
    },
    /// Say how the queue stands.
    Queue,
    /// Keep every host from claiming another notification until the queue is resumed, or only from sending some of them.
    Pause {
        #[command(flatten)]
        part: Part,
        /// Why.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// End the pause of the whole queue, or that of one relay or kind; each ends by itself.
    Resume {
        #[command(flatten)]
        part: Part,
    },
}

/// Which part of the queue; the queue as a whole when nothing is given.
#[derive(clap::Args)]
struct Part {
    /// What goes by this relay; mails that may go by another do.
    #[arg(long, conflicts_with = "kind")]
    relay: Option<String>,
    /// Notifications of this kind, such as "order.shipped", and what their orders have behind them.
    #[arg(long)]
    kind: Option<String>,
}

impl From<Part> for QueuePart {
    fn from(part: Part) -> Self {
        let Part { relay, kind } = part;
        Self { relay, kind }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { shop, command } = args;
    Box::pin(shop.work(async |opened| answer(opened, command, shop.json).await)).await
}

async fn answer(shop: &Shop, command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let record = match command {
        Command::Ls { which, newest_first, limit } => {
            let filter = Filter { newest_first, ..which.filter(Clock::system().now_ms()) };
            return list(shop, &filter, limit, json).await;
        }
        Command::Bulk(bulk) => return bulk.run(shop, json).await,
        Command::Operations { limit } => return bulk::list(shop, limit, json).await,
        Command::Operation { id, cancel } => return bulk::one(shop, id, cancel, json).await,
        Command::Show { id } => {
            let record = shop.client.notification(id).await?;
            say(&if json { show(&record)? } else { one(&record) })?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Reproduce { id } => return reproduce(shop, id, json).await,
        Command::Retry { id, why, allow_late } => shop.client.retry(id, &Retry { why, allow_late }).await?,
        Command::Cancel { id, why } => shop.client.cancel(id, why).await?,
        Command::Hold { id, why } => shop.client.hold(id, why).await?,
        Command::Queue => return stands(&shop.client.queue().await?, json),
        Command::Pause { part, why } => return stands(&shop.client.pause(part.into(), why).await?, json),
        Command::Resume { part } => return stands(&shop.client.resume(part.into()).await?, json),
    };
    say(&if json {
        show(&record)?
    } else {
        format!("notification {} ({}) is {}", record.id, record.about(), record.state.as_str())
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(shop: &Shop, filter: &Filter, limit: u32, json: bool) -> anyhow::Result<ExitCode> {
    let found = shop.client.notifications(filter, limit).await?;
    if json {
        say(&show(&found.items)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![row(&["ID", "ABOUT", "KIND", "STATE", "ATTEMPTS", "CREATED", "REASON"])];
    for r in &found.items {
        let [id, attempts] = &[r.id, r.attempts].map(|n| n.to_string());
        let delivery = r.delivery.map_or_else(String::new, |delivery| format!(", {}", delivery.as_str()));
        let state = format!("{}{delivery}", r.state.as_str());
        rows.push(row(&[id, &r.about(), &r.kind, &state, attempts, &rfc3339::text(r.created_at), &r.reason]));
    }
    let more = if found.next.is_some() { "\nthere are more; narrow the list or raise --limit\n" } else { "" };
    say(&format!("{}{more}", table(&rows)))?;
    Ok(ExitCode::SUCCESS)
}

/// A notification and its journal.
fn one(r: &Record) -> String {
    let at = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), rfc3339::text);
    let head = [
        row(&["notification", &r.id.to_string()]),
        row(&["about", &r.about()]),
        row(&["kind", &r.kind]),
        row(&["message-id", &r.message_id]),
        row(&["state", r.state.as_str()]),
        row(&["delivery", r.delivery.map_or("-", Delivery::as_str)]),
        row(&["reason", &r.reason]),
        row(&["attempts", &r.attempts.to_string()]),
        row(&["created", &rfc3339::text(r.created_at)]),
        row(&["completed", &at(r.completed_at)]),
    ];
    let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
    let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let titles = ["STARTED", "ENDED", "WHAT", "PHASE", "CLASS", "CODE", "RELAY", "VERDICT", "DELAY", "BY", "WORDS"];
    let mut rows = vec![row(&titles)];
    for e in &r.journal {
        let by = format!("{}/{}", number(e.renderer_revision), number(e.policy_revision));
        let (reply, reason) = (e.reply.as_ref(), e.reason.as_ref().filter(|reason| !reason.is_empty()));
        // What a decision is about stands with the reports.
        let words = if e.kind == "decision" { reason.or(reply) } else { reply.or(reason) };
        let words = words.map_or("", String::as_str);
        let delay = e.delay_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        let kind = if e.repeats > 1 { format!("{} x{}", e.kind, e.repeats) } else { e.kind.clone() };
        rows.push(row(&[
            &rfc3339::text(e.started_at),
            &at(e.ended_at),
            &kind,
            &word(&e.phase),
            &word(&e.class),
            &number(e.code),
            &word(&e.relay),
            &word(&e.verdict),
            &delay,
            &by,
            words,
        ]));
    }
    let mut reports = vec![row(&["REPORTED", "WHAT", "CODE", "BY", "WORDS"])];
    for report in &r.reports {
        let Report { kind, enhanced, words, reporter, received_at, is_past } = report;
        let kind = format!("{}{}", kind.as_str(), if *is_past { " (before)" } else { "" });
        reports.push(row(&[&rfc3339::text(*received_at), &kind, &word(enhanced), reporter, words]));
    }
    let reports = if r.reports.is_empty() { String::new() } else { format!("\n{}", columns(&reports)) };
    format!("{}\n{}{reports}", columns(&head), columns(&rows))
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
    let mut lines = vec![format!("{due}, {} under way{paused}", queue.under_way)];
    lines.extend(queue.paused_parts.iter().map(|part| {
        let (what, named) = match &part.relay {
            Some(relay) => ("the relay", relay.as_str()),
            None => ("the kind", part.kind.as_deref().unwrap_or_default()),
        };
        format!("{what} {named} is paused by {}{}", part.who, why(&part.why))
    }));
    say(&lines.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn reproduce(shop: &Shop, id: i64, json: bool) -> anyhow::Result<ExitCode> {
    let made = shop.client.reproduce(id).await?;
    if json {
        say(&show(&made)?)?;
    } else {
        say(&made.message)?;
        let verdict = if made.is_same { "the same bytes as were sent" } else { "NOT the bytes that were sent" };
        say(&format!("-- {verdict}: revision {}, seed {}, sha256 {}", made.revision, made.seed, made.made_hash))?;
    }
    Ok(if made.is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
