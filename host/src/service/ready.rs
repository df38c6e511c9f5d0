//! Whether this host can serve.

use tokio::sync::Mutex;

use super::Service;
use crate::store::Error;

/// How long an answer holds. Load balancers ask often, and each look is a commit.
const ANSWER_MS: i64 = 1_000;

/// The last answer.
#[derive(Default)]
pub struct Readiness(Mutex<Option<Answer>>);

struct Answer {
    /// By the monotonic clock.
    at_ms: i64,
    ready: Result<(), String>,
}

impl Service {
    /// Whether the host can serve: an order could be recorded. If not, why not.
    pub async fn ready(&self) -> Result<(), String> {
        let mut last = self.readiness.0.lock().await;
        let now = self.clock.monotonic_ms();
        if let Some(Answer { ready, .. }) = last.as_ref().filter(|a| now - a.at_ms < ANSWER_MS) {
            return ready.clone();
        }
        let ready = self.store.probe().await.map_err(|e| why(&e));
        *last = Some(Answer { at_ms: now, ready: ready.clone() });
        ready
    }
}

fn why(e: &Error) -> String {
    tracing::warn!(error = %e, "the database cannot be written to");
    let why = if e.is_full() {
        "the database is full"
    } else if e.is_read_only() {
        "the database takes no writes"
    } else if e.is_away() {
        "the database does not answer"
    } else {
        "the database cannot be written to"
    };
    why.to_owned()
}
