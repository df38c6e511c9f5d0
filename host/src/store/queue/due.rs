//! Which events a claim looks for.

use super::pause::NOT_PAUSED;
use super::{Claimable, QUEUE, UNSUSPECTED_CLAIMS_MAX, is_head};
use crate::notification::{URGENCIES, Urgency};
use crate::store::Dialect;

/// The heads of one urgency that are due, by their time; none while the queue is paused. Since when, and how many, are the
/// parameters of these numbers; `SQLite`, which leaves nothing behind that it would step over, looks from the beginning.
fn due(
    dialect: Dialect,
    claimable: Claimable,
    urgency: Urgency,
    now: &str,
    (from, limit, lock): (usize, usize, &str),
) -> String {
    let (is_head, by_time) = (is_head(dialect), dialect.by_index("q_due"));
    let unsuspected = match claimable {
        Claimable::All => String::new(),
        Claimable::Unsuspected => format!("and q.claims < {UNSUSPECTED_CLAIMS_MAX}"),
    };
    // `SQLite` would look through all that is due, and ask each whether the queue is paused.
    let is_due = match dialect {
        Dialect::Sqlite => format!("q.due_at <= iif({NOT_PAUSED}, {now}, -1)"),
        Dialect::MySql | Dialect::Postgres => format!("q.due_at >= ${from} and q.due_at <= {now} and {NOT_PAUSED}"),
    };
    format!(
        "select q.state_id, q.due_at from {QUEUE} q {by_time} where q.urgency = {} and {is_due} {unsuspected} \
         and {is_head} order by q.due_at, q.state_id limit ${limit} {lock}",
        urgency.number()
    )
}

/// Of one urgency what is due.
pub(super) struct Due {
    pub(super) urgency: Urgency,
    pub(super) sql: String,
    pub(super) limit: i64,
}

/// The heads of all urgencies that have a portion, each as a select of its own; `parameters` gives the numbers of since when and how many
/// of the select in that place.
pub(super) fn due_by_urgency(
    dialect: Dialect,
    claimable: Claimable,
    now: &str,
    (parameters, lock): (impl Fn(usize) -> (usize, usize), &str),
    portions: [i64; URGENCIES],
) -> Vec<Due> {
    let asked = Urgency::ALL.into_iter().zip(portions).filter(|(_, portion)| *portion > 0);
    let one = |(place, (urgency, limit))| {
        let (since, most) = parameters(place);
        Due { urgency, sql: due(dialect, claimable, urgency, now, (since, most, lock)), limit }
    };
    asked.enumerate().map(one).collect()
}
