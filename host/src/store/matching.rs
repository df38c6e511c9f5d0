//! Which notifications pass a filter: the conditions of lists, of counts and of bulk operations.

use super::Dialect;
use super::conditions::{Arg, Conditions, escaped};
use crate::notification::report::Delivery;
use crate::notification::{Filter, Lane, State};

impl Conditions {
    /// Of notifications `s` those that pass the filter, behind the one with the id `after`. Of those in the queue, `s` is joined with its row there, `q`.
    pub(super) fn matching(&mut self, dialect: Dialect, filter: &Filter, after: Option<i64>) {
        let Filter { state, order_id, user_id, endpoint_id, created_before, ended_since, kind, .. } = filter;
        let Filter { relay, reason, cancelled, .. } = filter;
        if let Some(delivery) = filter.delivery {
            let than = if filter.newest_first { "<" } else { ">" };
            self.reported(delivery, after.map(|id| (than, id)));
        }
        match state {
            Some(State::NotSent) => self.fixed("s.id = q.state_id"),
            Some(state) => self.fixed(&dialect.stands(*state)),
            None => {}
        }
        match (*order_id, *endpoint_id) {
            (Some(order), endpoint) => {
                let lane = endpoint.map_or(Lane::Order(order), |endpoint| Lane::Endpoint { endpoint, order });
                self.and("s.lane = ?", Arg::Int(lane.into()));
            }
            (None, Some(endpoint)) => {
                let (first, last) = Lane::of_endpoint(endpoint);
                self.and("s.lane >= ?", Arg::Int(first));
                self.and("s.lane <= ?", Arg::Int(last));
            }
            (None, None) => {}
        }
        if let Some(user_id) = user_id {
            let [account, products] = Lane::of_user(*user_id);
            // One list, or the notifications would be looked at one by one.
            let lanes = "s.lane in (select l.lane from (select o.id as lane from orders o where o.user_id = ?";
            self.and(lanes, Arg::Int(*user_id));
            self.glue(" union all select ?", Arg::Int(account));
            self.glue(" union all select ?) l)", Arg::Int(products));
        }
        if let Some(before) = created_before {
            self.and("s.created_at < ?", Arg::Int(*before));
        }
        if let Some(since) = ended_since {
            self.and("s.completed_at >= ?", Arg::Int(*since));
        }
        if let Some(kind) = kind {
            self.and("s.kind = ?", Arg::Text(kind.clone()));
        }
        if let Some(relay) = relay {
            let offered = "exists (select 1 from notification_attempts a where a.state_id = s.id and a.relay = ?)";
            self.and(offered, Arg::Text(relay.clone()));
        }
        if let Some(cancelled) = cancelled {
            // What is reported of it later, and what a policy makes of that, takes nothing of it back.
            let not = if *cancelled { "" } else { "not " };
            self.fixed(&format!(
                "{not}exists (select 1 from notification_attempts a where a.state_id = s.id and a.verdict = 'cancel' \
                 and not exists (select 1 from notification_attempts b where b.state_id = s.id and b.id > a.id \
                 and coalesce(b.phase, '') not in ('report', 'on-report')))"
            ));
        }
        if let Some(words) = reason {
            let like = |words: &str| Arg::Text(format!("%{}%", escaped(words)));
            // SQLite lowers ASCII alone: what else there is, is found as it was written.
            self.fixed("(");
            self.glue("lower(s.reason) like ? escape '!'", like(&words.to_lowercase()));
            self.glue(" or s.reason like ? escape '!')", like(words));
        }
    }

    /// Of notifications `s` those whose delivery is known to be this one: a report says so and none says more. With the bound of
    /// a page, which reports are looked at is bound as well.
    fn reported(&mut self, delivery: Delivery, bound: Option<(&str, i64)>) {
        // From the reports, which are few, to the notifications.
        let said = "s.id in (select r.state_id from notification_reports r where r.kind = ? and r.is_past = 0";
        self.and(said, name(delivery));
        match bound {
            Some((than, id)) => self.glue(&format!(" and r.state_id {than} ?)"), Arg::Int(id)),
            None => self.close(")"),
        }
        for more in Delivery::ALL.into_iter().filter(|other| *other > delivery) {
            let none = "not exists (select 1 from notification_reports r \
                        where r.state_id = s.id and r.kind = ? and r.is_past = 0)";
            self.and(none, name(more));
        }
    }
}

fn name(delivery: Delivery) -> Arg {
    Arg::Text(delivery.as_str().to_owned())
}
