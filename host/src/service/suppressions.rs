//! Which addresses get no more mails.

use super::once::tried_after;
use super::plugins::name;
use super::{Error, Page, PageRequest, Principal, Service};
use crate::store::{self, suppressions};
use crate::suppression::{AddressKey, NewSuppression, Suppression, SuppressionFilter};

/// Entries of one import.
pub const IMPORT_MAX: usize = 500;

impl Service {
    /// A page of the entries, newest first. For viewers.
    pub async fn suppressions(
        &self,
        who: Principal,
        filter: &SuppressionFilter,
        page: &PageRequest,
    ) -> Result<Page<Suppression>, Error> {
        who.must_look()?;
        let limit = page.limit()?;
        let before = page.after_id()?.unwrap_or(i64::MAX);
        let keys = filter.address.as_ref().map(|address| self.address_keys.of(address)).unwrap_or_default();
        let items = self.store.suppressions(filter, &keys, before, limit + 1).await?;
        Ok(Page::cut(items, limit, |s| s.id))
    }

    /// One entry. For viewers.
    pub async fn suppression(&self, who: Principal, id: i64) -> Result<Suppression, Error> {
        who.must_look()?;
        self.store.suppression(id).await?.ok_or(Error::NotFound("suppression"))
    }

    /// Sends an address no more mails, or none of a category. For operators.
    pub async fn suppress(&self, who: Principal, new: &NewSuppression) -> Result<Suppression, Error> {
        let ids = self.write_suppressions(who, std::slice::from_ref(new), |_| "/expires_at".to_owned()).await?;
        self.suppression(who, ids.first().copied().unwrap_or_default()).await
    }

    /// The same of many addresses, all of them or none; says how many. For operators.
    pub async fn import_suppressions(&self, who: Principal, all: &[NewSuppression]) -> Result<u64, Error> {
        if all.is_empty() || all.len() > IMPORT_MAX {
            return Err(Error::invalid("/items", &format!("must be 1 to {IMPORT_MAX}; import more in parts")));
        }
        let ids = self.write_suppressions(who, all, |n| format!("/items/{n}/expires_at")).await?;
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }

    /// Lets mails go to an address again. For operators.
    pub async fn lift_suppression(&self, who: Principal, id: i64) -> Result<(), Error> {
        who.must_operate()?;
        if !self.store.lift_suppression(id).await? {
            return Err(Error::NotFound("suppression"));
        }
        tracing::info!(suppression.id = id, by = name(who), "an address gets mails again");
        Ok(())
    }

    async fn write_suppressions(
        &self,
        who: Principal,
        all: &[NewSuppression],
        pointer: impl Fn(usize) -> String,
    ) -> Result<Vec<i64>, Error> {
        who.must_operate()?;
        let now = self.clock.now_ms();
        if let Some(n) = all.iter().position(|new| new.expires_at.is_some_and(|until| until <= now)) {
            return Err(Error::Conflict(format!(
                "{} must be in the future: an entry that is over stands against nobody",
                pointer(n)
            )));
        }
        let mut keyed: Vec<_> = all.iter().map(|new| (self.address_keys.of(&new.address), new)).collect();
        // Two that import the same wait for each other instead of each having what the other waits for.
        keyed.sort_by_cached_key(|(keys, new)| {
            (keys.first().map(|key| key.hash.clone()), new.category.as_str(), new.cause.as_str())
        });
        // Who finds an entry taken at this moment renews it the next time.
        let passes = |e: &store::Error| e.is_taken() || e.is_transient();
        let by = name(who);
        tried_after(passes, || self.try_suppress(&keyed, &by, now)).await
    }

    async fn try_suppress(
        &self,
        all: &[(Vec<AddressKey>, &NewSuppression)],
        source: &str,
        now: i64,
    ) -> Result<Vec<i64>, Error> {
        let mut tx = self.store.begin().await?;
        let mut ids = Vec::with_capacity(all.len());
        for (keys, new) in all {
            ids.push(suppressions::suppress(&mut tx, keys, new, source, now).await?);
        }
        tx.commit().await?;
        Ok(ids)
    }
}
