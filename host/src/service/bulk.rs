//! One act on all notifications that match a filter, in the background: it goes on when the request that began it has
//! ended and when its host has, all hosts know how far it is, and it can be cancelled.

mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::notifications::must_be_taken;
use super::operations::{KEPT_MS, SILENT_MS_MAX};
use super::plugins::{must_be_short, name};
use super::wait::ended_within;
use super::{Error, Once, Page, PageRequest, Principal, Service};
use crate::notification::{Filter, State};
use crate::store::bulk::{self, BulkRow, NewBulk};

/// What is done to each notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationAct {
    /// Queued again: of those that failed, were skipped or are held.
    Retry,
    /// Ended without a mail: of those that are queued or held.
    Cancel,
    /// Taken out of the queue until an operator decides: of those that are queued.
    Hold,
}

impl NotificationAct {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Hold => "hold",
        }
    }

    /// Whether it is for notifications that stand there. What an endpoint was sent can be sent again: it knows requests by their ids.
    pub fn is_for(self, filter: &Filter) -> bool {
        let is_request = self == Self::Retry && filter.endpoint_id.is_some();
        filter.state.is_some_and(|state| self.states().contains(&state) || (is_request && state == State::Sent))
    }

    /// Where the notifications stand that it is for, whatever they are.
    fn states(self) -> &'static [State] {
        match self {
            Self::Retry => &[State::Failed, State::Held, State::Skipped],
            Self::Cancel => &[State::NotSent, State::Held],
            Self::Hold => &[State::NotSent],
        }
    }
}

/// One act on all notifications that match.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNotificationOperation {
    /// What is done to each.
    pub act: NotificationAct,
    /// Which. The state must be one that the act is for. Retries leave out what operators cancelled, unless `cancelled` is
    /// said.
    pub filter: Filter,
    /// Why, for the journal of each.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\u0000]*$")]
    pub why: String,
    /// Retries: even where a newer mail of the order has gone out.
    #[serde(default)]
    pub allow_late: bool,
    /// Refuses to begin when more match, and ends when more come to match meanwhile.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub matches_max: Option<u64>,
    /// Only says how many match (AIP-163): the answer has the id 0 and the state "validated".
    #[serde(default)]
    pub validate_only: bool,
}

/// How far one act on all notifications that match is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotificationOperation {
    /// Counts up over all hosts; 0 when it was only validated.
    pub id: i64,
    /// What is done to each.
    pub act: NotificationAct,
    /// Which notifications.
    pub filter: Filter,
    /// Why.
    pub why: String,
    /// Retries: even where a newer mail of the order has gone out.
    pub allow_late: bool,
    /// "running", "succeeded", "failed" or "cancelled"; "validated" when nothing was begun.
    pub state: String,
    /// So many matched when it began.
    pub matched: i64,
    /// To so many it was done.
    pub done: i64,
    /// So many stayed as they were.
    pub refused: i64,
    /// Why they did.
    pub refusals: Vec<Refusal>,
    /// Why it failed.
    pub detail: Option<String>,
    /// When it began.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// Who began it.
    pub created_by: String,
    /// When its host last wrote down how far it is.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: i64,
}

/// How many notifications stayed as they were for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NotificationRefusal)]
pub struct Refusal {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl NotificationOperation {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.state != "running"
    }
}

impl TryFrom<BulkRow> for NotificationOperation {
    type Error = Error;

    fn try_from(row: BulkRow) -> Result<Self, Error> {
        let (act, filter, refusals) = parse(&row)?;
        let BulkRow { id, why, allow_late, state, matched, done, refused, detail, .. } = row;
        let refusals = refusals.into_iter().map(|(reason, count)| Refusal { reason, count }).collect();
        let (allow_late, created_at, created_by, updated_at) =
            (allow_late != 0, row.created_at, row.created_by, row.updated_at);
        Ok(Self {
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
        })
    }
}

fn parse(row: &BulkRow) -> Result<(NotificationAct, Filter, BTreeMap<String, u64>), Error> {
    let corrupt =
        |e: serde_json::Error| crate::store::Error::Corrupt { what: "operation", id: row.id, why: e.to_string() };
    Ok((
        serde_json::from_value(row.act.as_str().into()).map_err(corrupt)?,
        serde_json::from_str(&row.filter).map_err(corrupt)?,
        serde_json::from_str(&row.refusals).map_err(corrupt)?,
    ))
}

impl Service {
    /// Begins one act on all notifications that match, or only says how many do. One operation is under way at a time.
    /// For operators.
    pub async fn start_notification_operation(
        &self,
        who: Principal,
        mut new: NewNotificationOperation,
        once: Option<&Once>,
    ) -> Result<NotificationOperation, Error> {
        who.must_operate()?;
        must_be_short(&new.why)?;
        must_be_for(&new)?;
        if new.act == NotificationAct::Retry {
            // What an operator ended is sent because an operator says so, not because it stands where failures do.
            new.filter.cancelled.get_or_insert(false);
        }
        let begin = async || {
            let matched = self.store.count_matching(&new.filter).await?;
            if new.validate_only {
                return Ok((0, matched));
            }
            if new.matches_max.is_some_and(|most| u64::try_from(matched).is_ok_and(|matched| matched > most)) {
                return Err(Error::Conflict(format!("{matched} match; nothing was begun, since fewer were expected")));
            }
            let mut change = self.begin(who, "start-notification-operation", once).await?;
            let filter = serde_json::to_string(&new.filter).unwrap_or_default();
            let row = NewBulk {
                act: new.act.as_str(),
                filter: &filter,
                why: &new.why,
                allow_late: new.allow_late,
                matches_max: new.matches_max.map(|most| i64::try_from(most).unwrap_or(i64::MAX)),
                matched,
                descends: new.act != NotificationAct::Retry,
                by: &name(who),
            };
            match bulk::add(&mut change.tx, &row, self.store.offset_ms()).await {
                Err(e) if e.is_taken() => {
                    drop(change);
                    Err(self.under_way().await?)
                }
                added => change.commit((added?, matched)).await,
            }
        };
        let (id, matched) = self.once(who, "start-notification-operation", once, begin).await?;
        if new.validate_only {
            return Ok(self.validated(who, new, matched));
        }
        self.bulk.notify_one();
        self.notification_operation_row(id).await
    }

    /// Why no second operation begins.
    async fn under_way(&self) -> Result<Error, Error> {
        let running = self.store.running_bulk().await?;
        let which = running.map_or_else(String::new, |row| {
            let BulkRow { id, created_by, done, refused, matched, .. } = row;
            format!(": operation {id} of {created_by}, {} of {matched} done", done + refused)
        });
        Ok(Error::Conflict(format!("another operation is under way{which}; cancel it or wait for its end")))
    }

    fn validated(&self, who: Principal, new: NewNotificationOperation, matched: i64) -> NotificationOperation {
        let NewNotificationOperation { act, filter, why, allow_late, .. } = new;
        let (now, created_by) = (self.clock.now_ms(), name(who));
        NotificationOperation {
            id: 0,
            act,
            filter,
            why,
            allow_late,
            state: "validated".to_owned(),
            matched,
            done: 0,
            refused: 0,
            refusals: Vec::new(),
            detail: None,
            created_at: now,
            created_by,
            updated_at: now,
        }
    }

    /// One operation of any host, as far as it is. For viewers.
    pub async fn notification_operation(&self, who: Principal, id: i64) -> Result<NotificationOperation, Error> {
        who.must_look()?;
        self.notification_operation_row(id).await
    }

    async fn notification_operation_row(&self, id: i64) -> Result<NotificationOperation, Error> {
        self.store.bulk(id).await?.ok_or(Error::NotFound("operation"))?.try_into()
    }

    /// The same once it has ended, or as it is after `wait`. For viewers.
    pub async fn wait_for_notification_operation(
        &self,
        who: Principal,
        id: i64,
        wait: Duration,
    ) -> Result<NotificationOperation, Error> {
        ended_within(wait, || self.notification_operation(who, id), NotificationOperation::has_ended).await
    }

    /// A page of operations, the newest first. For viewers.
    pub async fn notification_operations(
        &self,
        who: Principal,
        page: &PageRequest,
    ) -> Result<Page<NotificationOperation>, Error> {
        who.must_look()?;
        let limit = page.limit()?;
        let rows = self.store.bulks(page.after_id()?.unwrap_or(i64::MAX), limit + 1).await?;
        let operations = rows.into_iter().map(NotificationOperation::try_from).collect::<Result<_, _>>()?;
        Ok(Page::cut(operations, limit, |o| o.id))
    }

    /// Asks that an operation end early; what it has done stays done, and one that has ended stays as it is. For
    /// operators.
    pub async fn cancel_notification_operation(&self, who: Principal, id: i64) -> Result<NotificationOperation, Error> {
        who.must_operate()?;
        self.notification_operation_row(id).await?;
        self.store.cancel_bulk(id, SILENT_MS_MAX).await?;
        self.notification_operation_row(id).await
    }

    /// Forgets operations that ended long ago.
    pub(super) async fn forget_old_bulk(&self) -> Result<(), crate::store::Error> {
        self.store.forget_bulk(KEPT_MS).await
    }
}

/// The act must be one for notifications that stand where the filter says.
fn must_be_for(new: &NewNotificationOperation) -> Result<(), Error> {
    must_be_taken(&new.filter, "/filter")?;
    let states = new.act.states();
    if new.act.is_for(&new.filter) {
        return Ok(());
    }
    let names: Vec<_> = states.iter().map(|state| format!("\"{}\"", state.as_str())).collect();
    Err(Error::invalid("/filter/state", &format!("must be {} for {}", names.join(" or "), new.act.as_str())))
}
