//! The use cases: all that REST and gRPC may call. Here it is decided who may do what.

mod error;
mod notifications;
mod orders;
mod plugins;
mod products;
mod sessions;
mod users;

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

pub use crate::plugin::{Report, Revision, Slot, Trial};
pub use crate::store::notifications::{Entry, Record};
pub use error::Error;
pub use sessions::{Principal, SECRET_BYTES_MIN, Session, Tokens};
pub use users::create_admin;

use crate::clock::Clock;
use crate::mail::mailbox::Mailbox;
use crate::plugin::Plugins;
use crate::shop::Shop;
use crate::shop::order::Pricing;
use crate::store::Store;

/// The use cases and what they need.
pub struct Service {
    /// The database.
    pub store: Store,
    /// The plugin host.
    pub plugins: Arc<Plugins>,
    /// Time and chance.
    pub clock: Clock,
    /// Tells the worker of this host that something was enqueued.
    pub wake: Arc<Notify>,
    /// Tells the workers of other hosts, where the database can.
    pub announce: Arc<Notify>,
    /// Who sells.
    pub shop: Shop,
    /// What the shop adds to the lines' sum.
    pub pricing: Pricing,
    /// After the "@" of Message-IDs.
    pub message_id_domain: String,
    /// Makes and reads access tokens.
    pub tokens: Tokens,
    /// Passwords are hashed so many at one time: each takes 19 MiB and tens of milliseconds.
    pub hashing: Semaphore,
    /// The mailbox for development.
    pub mailbox: Option<Mailbox>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last.
    pub next: Option<String>,
}

/// Which page of a list.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// 1 to [`PAGE_MAX`]; 20 when none.
    pub limit: Option<u32>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

/// The most items of a page.
pub const PAGE_MAX: u32 = 100;

impl PageRequest {
    fn limit(&self) -> Result<i64, Error> {
        match self.limit {
            None => Ok(20),
            Some(limit) if (1..=PAGE_MAX).contains(&limit) => Ok(limit.into()),
            Some(_) => Err(Error::invalid("/limit", &format!("must be within 1 to {PAGE_MAX}"))),
        }
    }

    fn after(&self, first: i64) -> Result<i64, Error> {
        use base64::Engine;
        let Some(cursor) = &self.cursor else { return Ok(first) };
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).ok();
        let id = bytes.and_then(|b| <[u8; 8]>::try_from(b).ok()).map(i64::from_be_bytes);
        id.ok_or_else(|| Error::invalid("/cursor", "must be the next_cursor of the page before"))
    }
}

impl<T> Page<T> {
    /// Cuts the one item too many that tells whether there is a next page.
    fn cut(mut items: Vec<T>, limit: i64, id: impl Fn(&T) -> i64) -> Self {
        use base64::Engine;
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(id);
        Self { items, next: next.map(|id| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id.to_be_bytes())) }
    }
}

impl Service {
    /// Something was enqueued and is committed.
    fn enqueued(&self) {
        self.wake.notify_one();
        self.announce.notify_one();
    }

    /// Whether the host can serve: the database answers.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.store.ping().await?)
    }
}
