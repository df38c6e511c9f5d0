//! What was done in the console, by whom and why. An act is written down before it is done, so that none is done unseen.

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::plugins::{must_be_short, name};
use super::{Error, Page, PageRequest, Principal, Service};
use crate::store::audit::ActRow;

/// An act of an operator in the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActInfo {
    /// Counts up.
    pub id: i64,
    /// When, unix milliseconds.
    pub created_at: i64,
    /// Who.
    pub created_by: String,
    /// What, such as "retry-notification".
    pub act: String,
    /// To what, such as "notification 12".
    pub subject: String,
    /// Why.
    pub why: String,
    /// "done", the code of the problem that kept it from being done, or "begun" while that is not known.
    pub outcome: String,
}

impl Service {
    /// Does what `act` names to `subject`, and writes down who did it why, and what came of it. For operators.
    pub async fn recorded<T>(
        &self,
        who: Principal,
        act: &str,
        subject: &str,
        why: &str,
        doing: BoxFuture<'_, Result<T, Error>>,
    ) -> Result<T, Error> {
        // Who may only look must not be able to fill the record.
        who.must_operate()?;
        must_be_short(why)?;
        let id = self.store.begin_act(&name(who), act, subject, why).await?;
        let done = doing.await;
        let outcome = done.as_ref().map_or_else(Error::code, |_| "done".to_owned());
        if let Err(e) = self.store.end_act(id, &outcome).await {
            tracing::warn!(error = %e, act.id = id, "what came of an act could not be written down");
        }
        done
    }

    /// A page of acts, the newest first. For viewers.
    pub async fn acts(&self, who: Principal, page: &PageRequest) -> Result<Page<ActInfo>, Error> {
        who.must_look()?;
        let limit = page.limit()?;
        let rows = self.store.acts(page.after_id()?.unwrap_or(i64::MAX), limit + 1).await?;
        let info = |row: ActRow| {
            let ActRow { id, created_at, created_by, act, subject, why, outcome } = row;
            ActInfo { id, created_at, created_by, act, subject, why, outcome }
        };
        Ok(Page::cut(rows.into_iter().map(info).collect(), limit, |act| act.id))
    }
}
