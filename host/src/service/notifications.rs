use super::plugins::{must_be_short, name};
use super::{Error, Page, PageRequest, Principal, Record, Service};
use crate::clock::rfc3339;
use crate::endpoint;
use crate::mail::mailbox::{Mailbox, Received};
use crate::notification::{Filter, Lane, State};
use crate::shop::user::User;
use crate::store::queue::interventions;
use crate::store::{Tx, contents, endpoints, orders, users};

/// How an operator has a notification tried again.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// Why, for the journal; at most 500 characters.
    pub why: String,
    /// Even if a newer mail of the order has gone out.
    pub allow_late: bool,
}

/// The longest text that notifications are looked for by, in characters.
const WORDS_MAX: usize = 100;

/// How an operator ends a notification: the journal's word for it, what it becomes, and which are refused.
type Act = (&'static str, State, &'static str);
pub(super) const CANCEL: Act = ("cancel", State::Failed, "only what is queued or held can be cancelled");
pub(super) const HOLD: Act = ("hold", State::Held, "only what is queued can be held");

impl Service {
    /// The notifications of an order: where each stands, for its owner; with what became of each attempt, for admins.
    pub async fn notifications_of(&self, who: Principal, order_id: i64) -> Result<Vec<Record>, Error> {
        self.order(who, order_id).await?;
        let mut records = self.store.notifications_of(order_id).await?;
        if !who.is_admin {
            // How the shop's relays and components fared is nothing for customers.
            for record in &mut records {
                record.journal.clear();
                record.reports.clear();
                record.reason.clear();
            }
        }
        Ok(records)
    }

    /// A page of notifications that pass the filter. For viewers.
    pub async fn notifications(
        &self,
        who: Principal,
        filter: &Filter,
        page: &PageRequest,
    ) -> Result<Page<Record>, Error> {
        who.must_look()?;
        let limit = page.limit()?;
        must_be_taken(filter, "")?;
        let items = self.store.notifications(filter, page.after_id()?, limit + 1).await?;
        Ok(Page::cut(items, limit, |r| r.id))
    }

    /// One notification, with what became of each attempt. For viewers.
    pub async fn notification(&self, who: Principal, id: i64) -> Result<Record, Error> {
        who.must_look()?;
        self.store.notification(id).await?.ok_or(Error::NotFound("notification"))
    }

    /// Queues a notification again that was held, failed or skipped, before what of its order is still queued, to the
    /// customer's address of now. Where a newer mail of the order has gone out, only if a late one is allowed. For
    /// operators.
    pub async fn retry_notification(&self, who: Principal, id: i64, retry: &Retry) -> Result<Record, Error> {
        who.must_operate()?;
        must_be_short(&retry.why)?;
        let reason = by(&name(who), &retry.why);
        self.once(who, "retry-notification", None, || self.try_retry(id, retry.allow_late, &reason)).await?;
        self.enqueued();
        self.notification(who, id).await
    }

    pub(super) async fn try_retry(&self, id: i64, allow_late: bool, reason: &str) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let recipient = lock_lane(&mut tx, id, self.clock.now_ms()).await?;
        let standing = interventions::lock(&mut tx, id).await?.ok_or(Error::NotFound("notification"))?;
        // A request is known by its id, and may be wanted again, after newer ones too; a mail would be read twice.
        let is_again = standing.state == State::Sent && matches!(recipient, Recipient::Endpoint(_));
        if standing.state == State::NotSent || (standing.state == State::Sent && !is_again) {
            let state = standing.state.as_str();
            return Err(Error::Conflict(format!(
                "only what was held, failed or skipped is tried again, and what an endpoint was sent; it is {state}"
            )));
        }
        match &recipient {
            Recipient::Nobody => return Err(Error::Conflict("the customer has left".to_owned())),
            Recipient::Endpoint(None) => return Err(Error::Conflict("its endpoint was deleted".to_owned())),
            Recipient::Endpoint(Some(endpoint::State::Disabled)) => {
                return Err(Error::Conflict("its endpoint is disabled; resume it first".to_owned()));
            }
            Recipient::Customer(_) | Recipient::Endpoint(Some(_)) => {}
        }
        if !endpoints::has_contents(&mut tx, id).await? {
            let why = "what it told has been forgotten (retention.contents_days)";
            return Err(Error::Conflict(why.to_owned()));
        }
        // Before the question whether it is late: what is newer and not handed over yet has to be claimed again.
        interventions::take_from_workers(&mut tx, &standing, self.store.offset_ms()).await?;
        let is_late = interventions::is_late(&mut tx, &standing).await?;
        if is_late && !allow_late && !is_again {
            let why = "what is newer of its order was sent or is on its way; set allow_late to send this one after it";
            return Err(Error::Conflict(why.to_owned()));
        }
        interventions::requeue(&mut tx, id, &standing, is_late, reason, self.store.offset_ms()).await?;
        if let Recipient::Customer(user) = recipient {
            contents::readdress_one(&mut tx, id, &(*user).into()).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Ends a notification that is queued or held: its mail is not sent, and the next of its order is due. For
    /// operators.
    pub async fn cancel_notification(&self, who: Principal, id: i64, why: &str) -> Result<Record, Error> {
        who.must_operate()?;
        must_be_short(why)?;
        let reason = by(&name(who), why);
        self.once(who, "cancel-notification", None, || self.try_end(id, CANCEL, &reason)).await?;
        self.enqueued();
        self.notification(who, id).await
    }

    /// Takes a notification out of the queue until an operator retries or cancels it; the next of its order is due.
    /// For operators.
    pub async fn hold_notification(&self, who: Principal, id: i64, why: &str) -> Result<Record, Error> {
        who.must_operate()?;
        must_be_short(why)?;
        let reason = by(&name(who), why);
        self.once(who, "hold-notification", None, || self.try_end(id, HOLD, &reason)).await?;
        self.enqueued();
        self.notification(who, id).await
    }

    pub(super) async fn try_end(&self, id: i64, act: Act, reason: &str) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        lock_lane(&mut tx, id, self.clock.now_ms()).await?;
        let standing = interventions::lock(&mut tx, id).await?.ok_or(Error::NotFound("notification"))?;
        let (verb, becomes, refusal) = act;
        if standing.state == becomes || !matches!(standing.state, State::NotSent | State::Held) {
            return Err(Error::Conflict(format!("{refusal}; it is {}", standing.state.as_str())));
        }
        if standing.is_handed_over {
            let why = "it is being handed over, or its host ended while it was; look again when the queue, unless it is paused, \
                       has settled that";
            return Err(Error::Conflict(why.to_owned()));
        }
        interventions::end(&mut tx, id, &standing, (verb, becomes), reason, self.store.offset_ms()).await?;
        Ok(tx.commit().await?)
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

/// Who gets a notification.
enum Recipient {
    Customer(Box<User>),
    /// A webhook's endpoint, and how it stands; none: it was deleted.
    Endpoint(Option<endpoint::State>),
    /// The customer has left.
    Nobody,
}

impl From<Option<User>> for Recipient {
    fn from(user: Option<User>) -> Self {
        user.map_or(Self::Nobody, |user| Self::Customer(Box::new(user)))
    }
}

/// Locks the order of a notification, the user whom it is about or the endpoint that is sent it, as every change of these does:
/// retries and cancels go one after the other. Says who gets it.
async fn lock_lane(tx: &mut Tx, id: i64, now: i64) -> Result<Recipient, Error> {
    let none = Error::NotFound("notification");
    match interventions::lane_of(tx, id).await? {
        None => Err(none),
        Some(Lane::Order(order)) => {
            let order = orders::lock(tx, order).await?.ok_or(none)?;
            Ok(orders::customer(tx, &order).await?.into())
        }
        Some(Lane::Endpoint { endpoint, .. }) => {
            Ok(Recipient::Endpoint(endpoints::lock(tx, endpoint, now).await?.map(|kept| kept.endpoint.state)))
        }
        Some(Lane::Account(user) | Lane::Beside(user)) => Ok(users::lock(tx, user).await?.map(|(user, _)| user).into()),
    }
}

/// What notifications are looked for by must not be longer than anything that it could be found in.
pub(super) fn must_be_taken(filter: &Filter, pointer: &str) -> Result<(), Error> {
    for (name, words) in [("kind", &filter.kind), ("relay", &filter.relay), ("reason", &filter.reason)] {
        let is_taken = |words: &String| words.chars().count() <= WORDS_MAX && !words.contains('\0');
        if !words.as_ref().is_none_or(is_taken) {
            let detail = format!("must have at most {WORDS_MAX} characters, none of them NUL");
            return Err(Error::invalid(&format!("{pointer}/{name}"), &detail));
        }
    }
    for (name, at) in [("created_before", filter.created_before), ("ended_since", filter.ended_since)] {
        if !at.is_none_or(rfc3339::is_in_range) {
            return Err(Error::invalid(&format!("{pointer}/{name}"), "must lie within the years -9999 to 9999"));
        }
    }
    Ok(())
}

/// For the journal.
pub(super) fn by(who: &str, why: &str) -> String {
    if why.is_empty() { format!("by {who}") } else { format!("by {who}: {why}") }
}
