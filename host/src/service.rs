//! The use cases: all that REST and gRPC may call. Here it is decided who may do what.

mod accounts;
mod audit;
mod bulk;
mod canary;
mod discounts;
mod endpoints;
mod error;
mod install;
mod notifications;
mod observe;
mod once;
mod operations;
mod orders;
pub(crate) mod patch;
mod place;
mod plugins;
mod preferences;
mod preparing;
mod products;
mod pulse;
mod queue;
mod reactions;
mod ready;
mod rehearse;
mod reports;
mod retention;
pub(crate) mod rollout;
mod sessions;
mod signatures;
pub mod stage;
mod stock_alerts;
mod suppressions;
mod takeover;
mod throttle;
mod tokens;
mod transit;
mod upload;
mod users;
mod wait;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

pub use crate::mail::mailbox::Received;
pub use crate::outbound::Standing as RelayStanding;
pub use crate::plugin::{
    Attachment, Counts, Difference, Divergence, Email, Revision, Signature, SignedImage, Signer, Slot,
};
pub use crate::store::notifications::{Entry, Record};
pub use crate::store::plugins::Change;
pub use crate::store::queue::{PartPause as QueuePartPause, Pause as QueuePause, Status as QueueStatus};
pub use accounts::Accounts;
pub use audit::ActInfo;
pub use bulk::{NewNotificationOperation, NotificationAct, NotificationOperation, Refusal};
pub use endpoints::Revealed;
pub use error::Error;
pub use install::NewPluginRevision;
pub use notifications::Retry;
pub use once::{InFlight, KEPT_MS, Once};
pub use operations::{Operation, OperationProblem, Operations, Started, Waited};
pub use patch::Patch;
pub use place::Counter;
pub use plugins::{ComponentInfo, RevisionInfo, Serving, SlotInfo};
pub use preferences::CHOICES;
pub use preparing::{Preparation, Preparing};
pub use products::Window;
pub use pulse::{Beat, HostInfo, Pulse, TROUBLED_MAX};
pub use queue::QueuePart;
pub use ready::Readiness;
pub use rehearse::{Example, Preview, Rendered, Replay, ReplayRequest, Reproduction, Subject};
pub use retention::Retention;
pub use sessions::{Principal, Session, SessionInfo};
pub use signatures::SignatureInfo;
pub use stage::Move;
pub use suppressions::IMPORT_MAX;
pub use throttle::{Allowance, Client, Limits, Throttle};
pub use tokens::{SECRET_BYTES_MIN, Tokens};
pub use transit::{Plan, Require, Terms};
pub use upload::Upload;
pub use users::create_admin;
pub use wait::WAIT_S_MAX;
pub use watch::Changes;

use crate::clock::Clock;
use crate::endpoint::SecretKeys;
use crate::link::Links;
use crate::mail::Mailer;
use crate::mail::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::notification::Caps;
use crate::plugin::Plugins;
use crate::provider::Providers;
use crate::proxy;
use crate::return_path::ReturnPaths;
use crate::shop::Shop;
use crate::shop::order::Pricing;
use crate::store::Store;
use crate::suppression::AddressKeys;
use crate::webhook;

/// The use cases and what they need.
pub struct Service {
    /// The database.
    pub store: Store,
    /// The plugin host.
    pub plugins: Arc<Plugins>,
    /// Time and randomness.
    pub clock: Clock,
    /// Wakes the worker of this host when something was enqueued.
    pub wake: Arc<Notify>,
    /// Wakes the workers of other hosts, where the database can.
    pub announce: Arc<Notify>,
    /// Who sells.
    pub shop: Shop,
    /// What the shop adds to the lines' sum.
    pub pricing: Pricing,
    /// After the "@" of Message-IDs.
    pub message_id_domain: String,
    /// Makes and reads tokens.
    pub tokens: Tokens,
    /// By which suppressed addresses are found.
    pub address_keys: AddressKeys,
    /// Mails about accounts.
    pub accounts: Accounts,
    /// Signs and reads the links in mails.
    pub links: Links,
    /// What no policy can exceed.
    pub caps: Caps,
    /// Where mails come back to, and which mail it was.
    pub return_paths: ReturnPaths,
    /// By which providers report.
    pub providers: Providers,
    /// Opens the secrets of endpoints.
    pub secret_keys: SecretKeys,
    /// Who may have endpoints.
    pub webhooks: webhook::Settings,
    /// Wakes who tells of products that can be had again.
    pub restocked: Notify,
    /// Wakes who answers requests for other passwords.
    pub resets: Notify,
    /// Who may ask how often.
    pub throttle: Throttle,
    /// Whose word is taken for where requests come from.
    pub proxies: proxy::Settings,
    /// Requests with an idempotency key that are under way.
    pub in_flight: InFlight,
    /// Orders that wait to be placed.
    pub counter: Counter,
    /// Products that wait to be seen.
    pub window: Window,
    /// Who waits for changes of orders.
    pub changes: Changes,
    /// Passwords are hashed so many at one time: each takes 19 MiB and tens of milliseconds.
    pub hashing: Semaphore,
    /// Builds what it would send, to compare it with what was sent.
    pub mailer: Mailer,
    /// Whether this host could serve when it was last asked.
    pub readiness: Readiness,
    /// Slots that do not run as the database has them.
    pub preparing: Preparing,
    /// Long work that this host does for operators.
    pub operations: Operations,
    /// Wakes who works on bulk operations in this host.
    pub bulk: Notify,
    /// What is paused is read and followed by one at a time: an older answer must not come after a newer.
    pub following: tokio::sync::Mutex<()>,
    /// Who traces requests.
    pub tracer: crate::trace::Tracer,
    /// What this host counts.
    pub metrics: Metrics,
    /// The last hour, as this host saw it.
    pub pulse: Pulse,
    /// This run of this host, as others know it: random.
    pub host: String,
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

    /// Behind which id the page begins.
    fn after_id(&self) -> Result<Option<i64>, Error> {
        Ok(self.after_key()?.map(|(_, id)| id))
    }

    /// The sorted value, where there is one, and the id behind which the page begins.
    pub(crate) fn after_key(&self) -> Result<Option<(Option<String>, i64)>, Error> {
        use base64::Engine;
        let Some(cursor) = self.cursor.as_ref().filter(|c| !c.is_empty()) else { return Ok(None) };
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).ok();
        let key = bytes.and_then(|b| serde_json::from_slice(&b).ok());
        key.map(Some).ok_or_else(|| Error::invalid("/cursor", "must be the next cursor of the page before"))
    }
}

impl<T> Page<T> {
    /// Cuts the one item too many that tells whether there is a next page, of a list by id.
    fn cut(items: Vec<T>, limit: i64, id: impl Fn(&T) -> i64) -> Self {
        Self::cut_by(items, limit, |item| (None, id(item)))
    }

    /// The same of a list by some value and the id.
    fn cut_by(mut items: Vec<T>, limit: i64, key: impl Fn(&T) -> (Option<String>, i64)) -> Self {
        use base64::Engine;
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(key);
        let next = next.map(|key| serde_json::to_vec(&key).unwrap_or_default());
        Self { items, next: next.map(|key| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key)) }
    }
}

/// Whether a thing is still as the caller saw it; none: they do not mind.
fn must_match(expected: Option<i64>, current: i64) -> Result<(), Error> {
    if expected.is_none_or(|expected| expected == current) { Ok(()) } else { Err(Error::Stale { current }) }
}

/// Waits until it is woken, for so long at the most, or until the host stops; false then.
async fn woken(wake: &Notify, within: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => {}
        () = wake.notified() => {}
        () = tokio::time::sleep(within) => {}
    }
    !stop.is_cancelled()
}

impl Service {
    /// Something was enqueued and is committed.
    fn enqueued(&self) {
        self.wake.notify_one();
        self.announce.notify_one();
    }
}
