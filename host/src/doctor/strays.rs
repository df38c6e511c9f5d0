//! Whether what is queued fits what is known of it, which a database that somebody edits, or that is damaged, does not.

use super::{Check, Finding};
use crate::notification::Caps;
use crate::store::Store;
use crate::store::strays::{Kind, Stray};

/// By the delays that a policy may ask for and a host adds, nothing is due later than that from now.
pub(super) fn delay_ms_max(caps: &Caps, lease_ms: i64) -> i64 {
    let asked = i64::try_from(caps.retry_max_ms.max(caps.wait_max_ms)).unwrap_or(i64::MAX);
    asked.saturating_mul(2).saturating_add(lease_ms)
}

pub(super) async fn examine(store: &Store, delay_ms_max: i64) -> Vec<Finding> {
    match store.strays(delay_ms_max).await {
        Ok(strays) => strays.iter().map(finding).collect(),
        Err(e) => vec![Finding::fault(Check::Queue, "", e.to_string(), "see the database's log")],
    }
}

fn finding(stray: &Stray) -> Finding {
    let says = match stray.kind {
        Kind::NotQueued => "it has not ended and is not queued: nobody will send it",
        Kind::Ended => "it has ended and is queued all the same: it may be sent again",
        Kind::Far => "it is due later than any policy may have it wait",
        Kind::Epoch => "its epoch is below that of an attempt: a claim that has ended could count again",
    };
    let id = stray.id;
    let advice = match stray.kind {
        Kind::Ended => {
            format!("`ecomm notification show {id}` says how it ended; take its row out of notification_events_queue")
        }
        Kind::NotQueued | Kind::Far | Kind::Epoch => {
            format!("`ecomm notification hold {id}` and then `ecomm notification retry {id}` queue it anew")
        }
    };
    Finding::fault(Check::Queue, &format!("notification {id}"), says, advice)
}
