use super::{Error, Principal, Record, Service};
use crate::mail::mailbox::{Mailbox, Received};

impl Service {
    /// The notifications of an order, with what became of each attempt. For admins.
    pub async fn notifications(&self, who: Principal, order_id: i64) -> Result<Vec<Record>, Error> {
        who.must_be_admin()?;
        let records = self.store.notifications_of(order_id).await?;
        // Every order has at least the notification of its placing.
        if records.is_empty() { Err(Error::NotFound("order")) } else { Ok(records) }
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
