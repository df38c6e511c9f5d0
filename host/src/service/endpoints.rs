//! Endpoints of webhooks: who may have which, and what their owners do with them.

use std::time::Duration;

use super::notifications::by;
use super::once::tried;
use super::patch::{Patch, merged};
use super::plugins::name;
use super::{Error, Page, PageRequest, Principal, Service};
use crate::clock::DAY_MS;
use crate::endpoint::{
    Changeable, Endpoint, NewEndpoint, Orders, SECRET_OVERLAP_MS, Secret, Signing, State, TEST_KIND, check_url, origin,
};
use crate::notification::subject::Subject;
use crate::notification::{Customer, ENDPOINT_ID_MAX, Payload};
use crate::shop::Attributes;
use crate::shop::text::{Email, Line, WebAddress};
use crate::shop::user::{english, utc};
use crate::store::endpoints::{self, Kept};
use crate::store::users;

/// An endpoint, and the secret that its owner is shown once.
#[derive(Clone, Debug)]
pub struct Revealed {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What signs its requests.
    pub secret: Secret,
}

impl Service {
    /// A page of endpoints: of one's own, or for viewers of all.
    pub async fn endpoints(&self, who: Principal, page: &PageRequest) -> Result<Page<Endpoint>, Error> {
        let limit = page.limit()?;
        let whose = if who.must_look().is_ok() { None } else { Some(who.user_id) };
        let items = self.store.endpoints(whose, page.after_id()?, limit + 1).await?;
        let items = items.into_iter().map(|kept| seen_by(who, kept.endpoint)).collect();
        Ok(Page::cut(items, limit, |endpoint: &Endpoint| endpoint.id))
    }

    /// One endpoint: one's own, or for viewers any.
    pub async fn endpoint(&self, who: Principal, id: i64) -> Result<Endpoint, Error> {
        let kept = self.store.endpoint(id).await?;
        let seen = kept.filter(|kept| who.must_look().is_ok() || kept.endpoint.user_id == Some(who.user_id));
        Ok(seen_by(who, seen.ok_or(NONE)?.endpoint))
    }

    /// Makes an endpoint: for one's own orders, or for operators of all. From then on it hears of each change.
    pub async fn create_endpoint(&self, who: Principal, new: &NewEndpoint) -> Result<Revealed, Error> {
        if new.orders == Orders::All {
            who.must_operate()?;
        } else if !self.webhooks.for_customers && who.must_operate().is_err() {
            return Err(Error::Forbidden);
        }
        self.must_be_reachable(&new.url)?;
        let (made, is_first) = tried(|| self.try_create_endpoint(who, new)).await?;
        if is_first {
            // Until then hosts may still believe that there is none.
            tokio::time::sleep(Duration::from_millis(FIRST_MS)).await;
        }
        Ok(made)
    }

    /// The endpoint, and whether hosts may not have seen one of late.
    async fn try_create_endpoint(&self, who: Principal, new: &NewEndpoint) -> Result<(Revealed, bool), Error> {
        let NewEndpoint { url, description, kinds, orders } = new.clone();
        let (user_id, most) = match orders {
            Orders::Own => (Some(who.user_id), self.webhooks.endpoints_per_user_max),
            Orders::All => (None, self.webhooks.endpoints_of_shop_max),
        };
        let mut tx = self.store.begin().await?;
        if let Some(id) = user_id {
            // Locked: who makes two at one time must not have one too many, nor who leaves meanwhile one left.
            users::lock(&mut tx, id).await?.ok_or(Error::Unauthenticated)?;
            if endpoints::made_since(&mut tx, id, self.clock.now_ms() - DAY_MS).await? >= MADE_PER_DAY_MAX {
                let why = format!(
                    "{MADE_PER_DAY_MAX} endpoints were made within a day; change one, or make another tomorrow"
                );
                return Err(Error::Conflict(why));
            }
        }
        if endpoints::count(&mut tx, user_id).await? >= most {
            return Err(Error::Conflict(format!(
                "there are {most} endpoints, as many as there may be; delete one first"
            )));
        }
        let (now, mut signing) = (self.clock.now_ms(), Signing::default());
        let secret = self.secret_keys.renew(&mut signing);
        let mut endpoint = Endpoint {
            id: 0,
            user_id,
            url,
            description,
            kinds,
            state: State::Active,
            reason: String::new(),
            version: 1,
            failing_since: None,
            failure: None,
            delivered_at: None,
            secrets: signing.info(now),
            created_at: now,
            updated_at: now,
        };
        let is_first = endpoints::oldest(&mut tx).await?.is_none_or(|oldest| now - oldest < SEEN_MS);
        endpoint.id = endpoints::insert(&mut tx, &endpoint, &signing).await?;
        if endpoint.id > ENDPOINT_ID_MAX {
            return Err(Error::Conflict(format!("no more than {ENDPOINT_ID_MAX} endpoints can ever be made")));
        }
        tx.commit().await?;
        tracing::info!(webhook.endpoint = endpoint.id, user.id = who.user_id, "an endpoint was made");
        Ok((Revealed { endpoint, secret }, is_first))
    }

    /// Changes an endpoint: what it is sent, where, and whether. Made active again, it counts as one that never failed.
    pub async fn change_endpoint(
        &self,
        who: Principal,
        id: i64,
        patch: &Patch,
        expected: Option<i64>,
    ) -> Result<Endpoint, Error> {
        let change = |kept: &mut Kept| {
            let Endpoint { url, description, kinds, state, .. } = kept.endpoint.clone();
            let before = Changeable { url, description, kinds, state };
            let Changeable { url, description, kinds, state } = merged(&before, patch)?;
            if url != before.url {
                self.must_be_reachable(&url)?;
            }
            let endpoint = &mut kept.endpoint;
            if state != before.state {
                if state == State::Disabled {
                    return Err(Error::invalid("/state", "must be active or paused: only the host disables"));
                }
                endpoint.reason = by(&name(who), "");
            }
            if state != before.state || url != before.url {
                (endpoint.failing_since, endpoint.failure) = (None, None);
            }
            (endpoint.url, endpoint.description, endpoint.kinds, endpoint.state) = (url, description, kinds, state);
            Ok(())
        };
        let (changed, ()) = tried(|| self.change_kept(who, id, expected, change)).await?;
        self.enqueued();
        Ok(changed)
    }

    /// Gives an endpoint a new secret. The one before signs beside it for a day.
    pub async fn rotate_endpoint_secret(&self, who: Principal, id: i64) -> Result<Revealed, Error> {
        const { assert!(SECRET_OVERLAP_MS == 86_400_000, "as the APIs' descriptions say") };
        let renew = |kept: &mut Kept| {
            let secret = self.secret_keys.renew(&mut kept.signing);
            kept.endpoint.secrets = kept.signing.info(self.clock.now_ms());
            Ok(secret)
        };
        let (endpoint, secret) = tried(|| self.change_kept(who, id, None, renew)).await?;
        Ok(Revealed { endpoint, secret })
    }

    async fn change_kept<T>(
        &self,
        who: Principal,
        id: i64,
        expected: Option<i64>,
        change: impl FnOnce(&mut Kept) -> Result<T, Error>,
    ) -> Result<(Endpoint, T), Error> {
        let (mut tx, now) = (self.store.begin().await?, self.clock.now_ms());
        let mut kept = own(who, endpoints::lock(&mut tx, id, now).await?)?;
        super::must_match(expected, kept.endpoint.version)?;
        let made = change(&mut kept)?;
        kept.endpoint.version += 1;
        kept.endpoint.updated_at = now;
        endpoints::update(&mut tx, &kept).await?;
        if kept.endpoint.state == State::Active {
            endpoints::make_due(&mut tx, id, self.store.offset_ms()).await?;
        }
        tx.commit().await?;
        Ok((kept.endpoint, made))
    }

    /// Deletes an endpoint. What is queued for it is skipped.
    pub async fn delete_endpoint(&self, who: Principal, id: i64, expected: Option<i64>) -> Result<(), Error> {
        tried(async || {
            let mut tx = self.store.begin().await?;
            let kept = own(who, endpoints::lock(&mut tx, id, self.clock.now_ms()).await?)?;
            super::must_match(expected, kept.endpoint.version)?;
            endpoints::delete(&mut tx, id, self.clock.now_ms()).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Sends an endpoint a request that tells of nothing, by the queue as every other; the number of its notification.
    pub async fn test_endpoint(&self, who: Principal, id: i64) -> Result<i64, Error> {
        let notification = tried(async || {
            let mut tx = self.store.begin().await?;
            let kept = own(who, endpoints::lock(&mut tx, id, self.clock.now_ms()).await?)?;
            let Endpoint { id, state, .. } = kept.endpoint;
            if state != State::Active {
                return Err(Error::Conflict(format!("the endpoint is {}", state.as_str())));
            }
            if endpoints::is_tested(&mut tx, id).await? {
                return Err(Error::Conflict("a test of the endpoint is under way".to_owned()));
            }
            let subject = Subject::Other("webhook".to_owned());
            let payload = Payload::of(TEST_KIND, self.clock.now_ms(), nobody(), &self.shop, subject);
            let offset_ms = self.store.offset_ms();
            let notification = endpoints::test(&mut tx, id, &self.message_id(), payload, offset_ms).await?;
            tx.commit().await?;
            Ok(notification)
        })
        .await?;
        self.enqueued();
        Ok(notification)
    }

    fn must_be_reachable(&self, url: &WebAddress) -> Result<(), Error> {
        check_url(url, self.webhooks.private_networks).map(drop).map_err(|why| Error::invalid("/url", why))
    }
}

const NONE: Error = Error::NotFound("webhook endpoint");

/// The path of an address may let whoever knows it in: who only looks sees its origin.
fn seen_by(who: Principal, mut endpoint: Endpoint) -> Endpoint {
    if endpoint.user_id != Some(who.user_id) && who.must_operate().is_err() {
        endpoint.url = origin(&endpoint.url).try_into().unwrap_or(endpoint.url);
    }
    endpoint
}

/// One's own endpoint, or for operators any.
fn own(who: Principal, kept: Option<Kept>) -> Result<Kept, Error> {
    let kept = kept.filter(|kept| who.must_operate().is_ok() || kept.endpoint.user_id == Some(who.user_id));
    let kept = kept.ok_or(NONE)?;
    Ok(kept)
}

/// How long it takes at most until all hosts know of the first endpoint, in milliseconds.
const FIRST_MS: u64 = endpoints::UNHEARD_MS.unsigned_abs() + 100;
/// All hosts know that there are endpoints once one has been there for so long, whatever their clocks, in milliseconds.
const SEEN_MS: i64 = 60_000;

/// Endpoints of one user that may be made within a day: their numbers are not given twice.
const MADE_PER_DAY_MAX: i64 = 100;

/// Whom a test is about.
///
/// # Panics
/// Never: these are a name and an address.
fn nobody() -> Customer {
    Customer {
        id: 0,
        name: Line::try_from("Webhook test".to_owned()).expect("a valid name"),
        email: Email::try_from("webhook-test@test.invalid".to_owned()).expect("a valid address"),
        locale: english(),
        time_zone: utc(),
        attributes: Attributes::default(),
    }
}
