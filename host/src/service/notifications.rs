use super::{Error, Page, PageRequest, Principal, Record, Service};
use crate::mail::mailbox::{Mailbox, Received};
use crate::notification::State;

impl Service {
    /// The notifications of an order: where each stands, for its owner; with what became of each attempt, for admins.
    pub async fn notifications_of(&self, who: Principal, order_id: i64) -> Result<Vec<Record>, Error> {
        self.order(who, order_id).await?;
        let mut records = self.store.notifications_of(order_id).await?;
        if !who.is_admin {
            // How the shop's relays and components fared is nothing for customers.
            for record in &mut records {
                record.journal.clear();
                record.reason.clear();
            }
        }
        Ok(records)
    }

    /// A page of notifications, the oldest first, in one state or in all. For admins.
    pub async fn notifications(
        &self,
        who: Principal,
        state: Option<State>,
        page: &PageRequest,
    ) -> Result<Page<Record>, Error> {
        who.must_be_admin()?;
        let limit = page.limit()?;
        let items = self.store.notifications(state, page.after_id()?.unwrap_or(0), limit + 1).await?;
        Ok(Page::cut(items, limit, |r| r.id))
    }

    /// One notification, with what became of each attempt. For admins.
    pub async fn notification(&self, who: Principal, id: i64) -> Result<Record, Error> {
        who.must_be_admin()?;
        self.store.notification(id).await?.ok_or(Error::NotFound("notification"))
    }

    /// What the mailbox for development holds. For admins.
    pub fn mails(&self, who: Principal) -> Result<Vec<Received>, Error> {
        Ok(self.mailbox(who)?.messages())
    }

    /// One mail of the mailbox for development. For admins.
    pub fn mail(&self, who: Principal, id: u64) -> Result<Received, Error> {
        self.mailbox(who)?.message(id).ok_or(Error::NotFound("mail"))
    }

    fn mailbox(&self, who: Principal) -> Result<&Mailbox, Error> {
        who.must_be_admin()?;
        self.mailbox.as_ref().ok_or(Error::NotFound("mailbox: mailbox.enabled is false"))
    }
}
