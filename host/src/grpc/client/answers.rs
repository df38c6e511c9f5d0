//! The host's nouns, out of the messages that a host answered. Destructured without `..`, as in the other direction.

use prost_types::Timestamp;

use super::super::{filters, pb, plugin_messages};
use super::Error;
use crate::notification::report::Report;
use crate::service::{
    Entry, HostInfo, NotificationOperation, Page, QueuePartPause, QueuePause, QueueStatus, Record, Refusal, Session,
};

/// What must be there.
pub(super) fn given<T>(name: &'static str, value: Option<T>) -> Result<T, Error> {
    value.ok_or(Error::Unreadable(name))
}

/// A time in unix milliseconds.
pub(super) fn at(name: &'static str, at: Option<Timestamp>) -> Result<i64, Error> {
    let read = filters::unix_ms(name, at).map_err(|_| Error::Unreadable(name))?;
    given(name, read)
}

/// The same, of a time that may be left out.
pub(super) fn maybe_at(name: &'static str, at: Option<Timestamp>) -> Result<Option<i64>, Error> {
    filters::unix_ms(name, at).map_err(|_| Error::Unreadable(name))
}

/// Each of a list.
pub(super) fn each<M, N>(messages: Vec<M>, noun: impl Fn(M) -> Result<N, Error>) -> Result<Vec<N>, Error> {
    messages.into_iter().map(noun).collect()
}

/// A page of a list.
pub(super) fn page<M, N>(items: Vec<M>, next: String, noun: impl Fn(M) -> Result<N, Error>) -> Result<Page<N>, Error> {
    Ok(Page { items: each(items, noun)?, next: Some(next).filter(|next| !next.is_empty()) })
}

pub(super) fn slot(slot: i32) -> Result<crate::service::Slot, Error> {
    given("slot", plugin_messages::named(slot).map_err(|_| Error::Unreadable("slot"))?)
}

pub(super) fn session(session: Option<pb::Session>) -> Result<Session, Error> {
    let pb::Session { id, user_id, access_token, expires_at, refresh_token, refresh_expires_at } =
        given("session", session)?;
    Ok(Session {
        id,
        user_id,
        access_token,
        expires_at: at("expires_at", expires_at)?,
        refresh_token,
        refresh_expires_at: at("refresh_expires_at", refresh_expires_at)?,
    })
}

pub(super) fn host(host: pb::Host) -> Result<HostInfo, Error> {
    let pb::Host { host, version, roles, started_at, seen_at, sent, failed, is_this } = host;
    let (started_at, seen_at) = (at("started_at", started_at)?, at("seen_at", seen_at)?);
    Ok(HostInfo { host, version, roles, started_at, seen_at, sent, failed, is_this })
}

pub(super) fn record(notification: pb::Notification) -> Result<Record, Error> {
    let pb::Notification {
        id,
        order_id,
        order_version,
        user_id,
        endpoint_id,
        kind,
        message_id,
        state,
        attempts,
        reason,
        created_at,
        completed_at,
        delivery,
        reports,
        journal,
    } = notification;
    let state = filters::state(state).map_err(|_| Error::Unreadable("state"))?;
    Ok(Record {
        id,
        order_id,
        order_version,
        user_id,
        endpoint_id,
        kind,
        message_id,
        state: given("state", state)?,
        attempts,
        reason,
        created_at: at("created_at", created_at)?,
        completed_at: maybe_at("completed_at", completed_at)?,
        delivery: filters::delivery(delivery).map_err(|_| Error::Unreadable("delivery"))?,
        reports: each(reports, report)?,
        journal: each(journal, |e| entry(id, e))?,
    })
}

fn report(report: pb::DeliveryReport) -> Result<Report, Error> {
    let pb::DeliveryReport { kind, enhanced, words, reporter, received_at, is_past } = report;
    let kind = filters::report_kind(kind).ok_or(Error::Unreadable("kind"))?;
    Ok(Report { kind, enhanced, words, reporter, received_at: at("received_at", received_at)?, is_past })
}

fn entry(state_id: i64, entry: pb::JournalEntry) -> Result<Entry, Error> {
    let pb::JournalEntry {
        epoch,
        kind,
        phase,
        class,
        code,
        enhanced,
        reply,
        relay,
        verdict,
        reason,
        delay_ms,
        renderer_digest,
        renderer_revision,
        policy_digest,
        policy_revision,
        seed,
        ab_variant,
        message_hash,
        repeats,
        started_at,
        ended_at,
    } = entry;
    Ok(Entry {
        state_id,
        epoch,
        kind,
        phase,
        class,
        code,
        enhanced,
        reply,
        relay,
        verdict,
        reason,
        delay_ms,
        renderer_digest,
        renderer_revision,
        policy_digest,
        policy_revision,
        seed,
        ab_variant,
        // Not in the API.
        situation: None,
        message_hash,
        repeats,
        started_at: at("started_at", started_at)?,
        ended_at: maybe_at("ended_at", ended_at)?,
    })
}

pub(super) fn queue(queue: Option<pb::Queue>) -> Result<QueueStatus, Error> {
    let pb::Queue { queued, under_way, first_due_in_ms, paused, paused_parts } = given("queue", queue)?;
    let pause = |pb::QueuePause { since, who, why }| at("since", since).map(|since| QueuePause { since, who, why });
    let part = |pb::QueuePartPause { relay, kind, since, who, why }| {
        at("since", since).map(|since| QueuePartPause { relay, kind, since, who, why })
    };
    let paused_parts = each(paused_parts, part)?;
    Ok(QueueStatus { queued, under_way, first_due_in_ms, paused: paused.map(pause).transpose()?, paused_parts })
}

pub(super) fn notification_operation(operation: pb::NotificationOperation) -> Result<NotificationOperation, Error> {
    let pb::NotificationOperation {
        id,
        act,
        filter,
        why,
        allow_late,
        state,
        matched,
        done,
        refused,
        refusals,
        detail,
        created_at,
        created_by,
        updated_at,
    } = operation;
    let act = filters::act(act).map_err(|_| Error::Unreadable("act"))?;
    let filter = filters::matching(given("filter", filter)?).map_err(|_| Error::Unreadable("filter"))?;
    let refusal = |pb::NotificationRefusal { reason, count }| Refusal { reason, count };
    Ok(NotificationOperation {
        id,
        act,
        filter,
        why,
        allow_late,
        state,
        matched,
        done,
        refused,
        refusals: refusals.into_iter().map(refusal).collect(),
        detail,
        created_at: at("created_at", created_at)?,
        created_by,
        updated_at: at("updated_at", updated_at)?,
    })
}
