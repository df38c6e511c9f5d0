//! How far long work is, on one line of a terminal; nothing where nobody looks.

use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ecomm::grpc::client::Client;
use ecomm::plugin::Progress;
use ecomm::service::Operation;

use crate::cli::shop::patiently;

/// How often the line is written again.
const EVERY: Duration = Duration::from_millis(100);
/// How often a host is asked where somebody does.
const LOOK: Duration = Duration::from_millis(500);
/// For how long a host is asked to wait for an operation's end where nobody looks at a bar.
const PATIENCE: Duration = Duration::from_secs(5);
/// Characters of a bar.
const BAR: u64 = 40;

/// A line that replaces itself.
struct Line {
    is_shown: bool,
    width: usize,
}

impl Line {
    fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal(), width: 0 }
    }

    fn show(&mut self, text: &str) {
        // What cannot be shown is not worth failing for.
        let _ = write!(std::io::stderr(), "\r{text:<width$}", width = self.width);
        self.width = text.chars().count();
    }

    fn clear(&mut self) {
        if self.width > 0 {
            self.show("");
            self.show("");
        }
    }
}

/// Waits for an operation and shows how far it is; as it ended.
pub(super) async fn follow(client: &Client, begun: Operation) -> anyhow::Result<Operation> {
    let mut line = Line::new();
    let mut operation = begun;
    while !operation.has_ended() {
        let wait = if line.is_shown {
            line.show(&text(&operation.step, operation.done, operation.of));
            LOOK
        } else {
            PATIENCE
        };
        let id = operation.id;
        operation = patiently(async || client.operation(id, wait).await)
            .await
            .with_context(|| format!("operation {id} goes on; `ecomm plugin cancel {id}` ends it"))?;
    }
    line.clear();
    match &operation.problem {
        Some(problem) => bail!("{}", problem.detail),
        None if operation.state == "cancelled" => bail!("operation {} was cancelled", operation.id),
        None => Ok(operation),
    }
}

/// Waits for the gate and shows how far it is.
pub(super) async fn watch<T>(progress: &Progress, work: impl Future<Output = T>) -> T {
    let look = async || {
        let step = *progress.borrow();
        let (done, of) = step.parts();
        Some(text(step.as_str(), done, of))
    };
    shown(look, work).await
}

/// Says what goes on while it does.
pub(super) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut line = Line::new();
    if line.is_shown {
        line.show(what);
    }
    let done = work.await;
    line.clear();
    done
}

/// Waits for work and shows what `look` says of it.
async fn shown<T>(look: impl AsyncFn() -> Option<String>, work: impl Future<Output = T>) -> T {
    let mut line = Line::new();
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                line.clear();
                return done;
            }
            () = tokio::time::sleep(EVERY), if line.is_shown => {
                if let Some(text) = look().await {
                    line.show(&text);
                }
            }
        }
    }
}

fn text(step: &str, done: u64, of: u64) -> String {
    if of == 0 {
        return format!("{step} …");
    }
    let bar = usize::try_from((done.saturating_mul(BAR) / of).min(BAR)).unwrap_or_default();
    format!("{step} [{:<40}] {done} of {of}", "#".repeat(bar))
}
