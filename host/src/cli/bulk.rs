//! `ecomm notification bulk`: one act on all notifications that match.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use ecomm::clock::{Clock, rfc3339};
use ecomm::notification::report::Delivery;
use ecomm::notification::{Filter, State};
use ecomm::service::{NewNotificationOperation, NotificationAct, NotificationOperation};
use tokio_util::sync::CancellationToken;

use super::output::{row, say, show, table};
use super::session::asked;
use super::shop::{Shop, patiently};

/// How often it is said how far an operation is.
const LOOK: Duration = Duration::from_millis(500);

/// Which notifications: those for which everything holds that is given.
#[derive(clap::Args)]
pub(super) struct Which {
    /// That stand there.
    #[arg(long, value_parser = state)]
    state: Option<State>,
    /// Of this order.
    #[arg(long)]
    order: Option<i64>,
    /// To this customer, by the user's id.
    #[arg(long)]
    customer: Option<i64>,
    /// To this endpoint of a webhook.
    #[arg(long)]
    endpoint: Option<i64>,
    /// Made so long ago or longer, such as "90m", "2h" or "1d".
    #[arg(long, value_parser = age)]
    older_than: Option<Age>,
    /// Ended so long ago or less, such as "90m", "2h" or "1d".
    #[arg(long, value_parser = age)]
    ended_within: Option<Age>,
    /// Of this kind, such as "order.shipped".
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    kind: Option<String>,
    /// Offered to this relay at least once.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    relay: Option<String>,
    /// Whose reason holds these words.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Whether an operator's cancel is what ended it; bulk retries leave those out unless this is said.
    #[arg(long)]
    cancelled: Option<bool>,
    /// Of which this is known: delayed, delivered, bounced or complained.
    #[arg(long, value_parser = delivery)]
    delivery: Option<Delivery>,
}

impl Which {
    pub(super) fn filter(self, now: i64) -> Filter {
        let Self {
            state,
            order,
            customer,
            endpoint,
            older_than,
            ended_within,
            kind,
            relay,
            reason,
            cancelled,
            delivery,
        } = self;
        let ago = |age: Option<Age>| age.map(|Age(ms)| now - ms);
        Filter {
            state,
            order_id: order,
            user_id: customer,
            endpoint_id: endpoint,
            created_before: ago(older_than),
            ended_since: ago(ended_within),
            kind,
            relay,
            reason,
            cancelled,
            delivery,
            newest_first: false,
        }
    }
}

/// An age in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Age(i64);

fn delivery(name: &str) -> Result<Delivery, String> {
    Delivery::try_from(name.to_owned())
}

fn state(name: &str) -> Result<State, String> {
    let all = [State::NotSent, State::Sent, State::Failed, State::Skipped, State::Held];
    // "not sent" needs quotes in a shell.
    State::try_from(name.replace(['-', '_'], " "))
        .map_err(|_| format!("must be one of: {}", all.map(|s| s.as_str().replace(' ', "-")).join(", ")))
}

fn age(text: &str) -> Result<Age, String> {
    let wrong = |e: jiff::Error| format!("must be an age such as \"90m\", \"2h\" or \"1d\": {e}");
    let span: jiff::Span = text.parse().map_err(wrong)?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let ms = span.total((jiff::Unit::Millisecond, days)).map_err(wrong)?;
    #[expect(clippy::cast_possible_truncation, reason = "an age of people's")]
    Ok(Age(ms as i64))
}

#[derive(Subcommand)]
pub(super) enum Bulk {
    /// Queue all again that match: --state failed, held or skipped.
    Retry {
        #[command(flatten)]
        begin: Begin,
        /// Even where a newer mail of the order has gone out.
        #[arg(long)]
        allow_late: bool,
    },
    /// End all that match without a mail: --state not-sent or held.
    Cancel {
        #[command(flatten)]
        begin: Begin,
    },
    /// Take all that match out of the queue: --state not-sent.
    Hold {
        #[command(flatten)]
        begin: Begin,
    },
}

#[derive(clap::Args)]
pub(super) struct Begin {
    #[command(flatten)]
    which: Which,
    /// Why, for the journal of each.
    #[arg(long, default_value = "")]
    why: String,
    /// Refuse to begin when more match.
    #[arg(long)]
    at_most: Option<u64>,
    /// Only say how many match.
    #[arg(long)]
    dry_run: bool,
    /// Begin without asking.
    #[arg(long)]
    yes: bool,
}

impl Bulk {
    pub(super) async fn run(self, shop: &Shop, json: bool) -> anyhow::Result<ExitCode> {
        let (act, begin, allow_late) = match self {
            Self::Retry { begin, allow_late } => (NotificationAct::Retry, begin, allow_late),
            Self::Cancel { begin } => (NotificationAct::Cancel, begin, false),
            Self::Hold { begin } => (NotificationAct::Hold, begin, false),
        };
        let Begin { which, why, at_most, dry_run, yes } = begin;
        let filter = which.filter(Clock::system().now_ms());
        let mut new =
            NewNotificationOperation { act, filter, why, allow_late, matches_max: at_most, validate_only: true };
        let found = shop.client.start_bulk(new.clone()).await?;
        if dry_run {
            say(&if json { show(&found)? } else { format!("{} match", found.matched) })?;
            return Ok(ExitCode::SUCCESS);
        }
        if !yes {
            anyhow::ensure!(
                std::io::stdin().is_terminal(),
                "{} match; nothing was done: say --yes to {} them",
                found.matched,
                act.as_str()
            );
            if !is_confirmed(&format!("{} match. {} them? [y/N] ", found.matched, act.as_str()))? {
                anyhow::bail!("nothing was done");
            }
            // What was agreed to.
            new.matches_max = new.matches_max.or_else(|| u64::try_from(found.matched).ok());
        }
        new.validate_only = false;
        let id = shop.client.start_bulk(new).await?.id;
        let ended = Box::pin(follow(shop, id)).await?;
        tell(&ended, json)?;
        Ok(if ended.state == "succeeded" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn is_confirmed(question: &str) -> anyhow::Result<bool> {
    Ok(matches!(asked(question)?.as_str(), "y" | "Y" | "yes"))
}

/// Works on it, unless a host does, until it has ended.
async fn follow(shop: &Shop, id: i64) -> anyhow::Result<NotificationOperation> {
    let mut progress = Progress::default();
    let never = CancellationToken::new();
    let work = async {
        let Some(service) = &shop.service else { return std::future::pending().await };
        loop {
            service.work_on_bulk(Some(id), &never).await?;
            tokio::time::sleep(LOOK).await;
        }
    };
    let look = async {
        loop {
            let operation = patiently(async || shop.client.bulk(id, LOOK).await)
                .await
                .with_context(|| format!("operation {id} goes on; `ecomm notification operation {id}` shows it"))?;
            progress.tell(&operation)?;
            if operation.has_ended() {
                return Ok(operation);
            }
        }
    };
    let ended = tokio::select! {
        failed = work => failed,
        ended = look => ended,
        _ = tokio::signal::ctrl_c() => {
            Err(anyhow::anyhow!("operation {id} goes on at a host; `ecomm notification operation {id} --cancel` ends it"))
        }
    };
    if let Some(service) = &shop.service {
        // Nobody works on it here any more.
        service.release_bulk().await?;
    }
    progress.end()?;
    ended
}

/// One line on a terminal, written over again.
#[derive(Default)]
struct Progress(bool);

impl Progress {
    fn tell(&mut self, operation: &NotificationOperation) -> std::io::Result<()> {
        let mut stderr = std::io::stderr();
        if !stderr.is_terminal() {
            return Ok(());
        }
        self.0 = true;
        let NotificationOperation { done, refused, matched, .. } = operation;
        write!(stderr, "\r\u{1b}[K{done} done, {refused} refused of {matched}")?;
        stderr.flush()
    }

    fn end(&self) -> std::io::Result<()> {
        if self.0 { writeln!(std::io::stderr()) } else { Ok(()) }
    }
}

pub(super) async fn list(shop: &Shop, limit: u32, json: bool) -> anyhow::Result<ExitCode> {
    let found = shop.client.bulks(limit).await?;
    if json {
        say(&show(&found.items)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![row(&["ID", "ACT", "STATE", "MATCHED", "DONE", "REFUSED", "BEGAN", "BY", "WHY"])];
    for o in &found.items {
        let [id, matched, done, refused] = [o.id, o.matched, o.done, o.refused].map(|n| n.to_string());
        let began = rfc3339::text(o.created_at);
        rows.push(row(&[&id, o.act.as_str(), &o.state, &matched, &done, &refused, &began, &o.created_by, &o.why]));
    }
    say(&table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn one(shop: &Shop, id: i64, cancel: bool, json: bool) -> anyhow::Result<ExitCode> {
    let operation =
        if cancel { shop.client.cancel_bulk(id).await? } else { shop.client.bulk(id, Duration::ZERO).await? };
    tell(&operation, json)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(operation: &NotificationOperation, json: bool) -> anyhow::Result<()> {
    if json {
        return say(&show(operation)?);
    }
    let NotificationOperation { id, act, state, matched, done, refused, refusals, detail, .. } = operation;
    let mut lines =
        vec![format!("operation {id}, {}: {state}; {matched} matched, {done} done, {refused} refused", act.as_str())];
    lines.extend(refusals.iter().map(|refusal| format!("{} refused: {}", refusal.count, refusal.reason)));
    lines.extend(detail.clone());
    say(&lines.join("\n"))
}
