//! Rows of the queue that no verb leaves as they are: somebody has edited the database, or it is damaged.

use super::queue::QUEUE;
use super::{Result, Store, with_pool};

/// The most of each kind that are named.
const NAMED_MAX: u32 = 10;

/// A notification whose place in the queue does not fit the rest of what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) id: i64,
    pub(crate) kind: Kind,
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has not ended and is not queued: no host looks at it again.
    NotQueued,
    /// It is queued, and has ended.
    Ended,
    /// It is due later than anything could have it.
    Far,
    /// Its epoch is below one that it had: an earlier claim could count as held again.
    Epoch,
}

impl Store {
    /// Those that there are, some of each kind; nothing is due later than `delay_ms_max` from now. Reads every
    /// notification's row once.
    pub(crate) async fn strays(&self, delay_ms_max: i64) -> Result<Vec<Stray>> {
        let now = self.dialect().now_ms(self.offset_ms());
        let kinds = [
            (
                Kind::NotQueued,
                format!(
                    "select s.id from notification_states s where s.state = 'not sent' \
                     and not exists (select 1 from {QUEUE} q where q.state_id = s.id)"
                ),
            ),
            (
                Kind::Ended,
                format!(
                    "select s.id from {QUEUE} q join notification_states s on s.id = q.state_id \
                     where s.state <> 'not sent'"
                ),
            ),
            (Kind::Far, format!("select q.state_id from {QUEUE} q where q.due_at > {now} + {delay_ms_max}")),
            (
                Kind::Epoch,
                format!(
                    "select q.state_id from {QUEUE} q where exists (select 1 from notification_attempts a \
                     where a.state_id = q.state_id and a.kind = 'send' and a.epoch > q.epoch)"
                ),
            ),
        ];
        let mut strays = Vec::new();
        for (kind, text) in kinds {
            let sql = self.dialect().sql(&format!("{text} order by 1 limit {NAMED_MAX}"));
            let ids: Vec<i64> = with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_all(pool).await)?;
            strays.extend(ids.into_iter().map(|id| Stray { id, kind }));
        }
        Ok(strays)
    }
}
