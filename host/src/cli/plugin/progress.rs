//! How far long work is, on one line of a terminal; nothing where nobody looks.

use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ecomm::plugin::{Progress, Step};
use ecomm::service::{Error, Service, Started};

use super::OPERATOR;

/// How often the line is written again.
const EVERY: Duration = Duration::from_millis(100);
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

/// Waits for an operation and shows how far it is.
pub(super) async fn follow<T>(service: &Arc<Service>, started: Started<T>) -> Result<T, Error> {
    let (mut line, id) = (Line::new(), started.operation.id);
    let mut end = pin!(started.end());
    loop {
        tokio::select! {
            ended = &mut end => {
                line.clear();
                return ended;
            }
            () = tokio::time::sleep(EVERY), if line.is_shown => {
                if let Ok(operation) = service.operation(OPERATOR, id).await {
                    line.show(&text(&operation.step, operation.done, operation.of));
                }
            }
        }
    }
}

/// Waits for the gate and shows how far it is.
pub(super) async fn watch<T>(progress: &Progress, work: impl Future<Output = T>) -> T {
    let mut line = Line::new();
    let mut work = pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => {
                line.clear();
                return ended;
            }
            () = tokio::time::sleep(EVERY), if line.is_shown => {
                let step = *progress.borrow();
                let (done, of) = if let Step::Trying(done, of) = step { (done, of) } else { (0, 0) };
                line.show(&text(step.as_str(), done.into(), of.into()));
            }
        }
    }
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

fn text(step: &str, done: u64, of: u64) -> String {
    if of == 0 {
        return format!("{step} …");
    }
    let bar = usize::try_from((done * BAR / of).min(BAR)).unwrap_or_default();
    format!("{step} [{:<40}] {done} of {of}", "#".repeat(bar))
}
