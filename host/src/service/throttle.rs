use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use serde::{Deserialize, Serialize};

use super::{Error, Principal};

/// Who may ask how often. Counted by this host alone. 0: as often as they like.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests of one user, or of one address without a token, in a minute.
    pub requests_per_minute_max: u32,
    /// Log-ins to one account in a minute.
    pub log_ins_per_account_max: u32,
    /// Log-ins from one address in a minute.
    pub log_ins_per_address_max: u32,
    /// Mails that ask whether an e-mail address is somebody's, to one such address in an hour, whoever has them sent.
    pub verifications_per_mailbox_max: u32,
}

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// A user, by whatever address.
    User(i64),
    /// Somebody without a token.
    Address(Option<IpAddr>),
}

impl Client {
    /// The user, if the request has a token that counts, else the address.
    pub fn of(who: Option<Principal>, from: Option<IpAddr>) -> Self {
        who.map_or(Self::Address(from), |who| Self::User(who.user_id))
    }
}

/// What is left of a quota (the IETF draft `RateLimit` header fields for HTTP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in a minute.
    pub limit: u32,
    /// How many more may come at once.
    pub remaining: u32,
}

/// Counts requests by the generic cell rate algorithm.
pub struct Throttle {
    requests: Option<(Keyed<Client>, u32)>,
    accounts: Option<Keyed<String>>,
    addresses: Option<Keyed<IpAddr>>,
    verified: Option<Keyed<String>>,
}

/// Above so many keys, those with a full allowance are forgotten.
const KEYS_MAX: usize = 100_000;

impl Throttle {
    /// Counts from nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            requests: keyed(limits.requests_per_minute_max).map(|k| (k, limits.requests_per_minute_max)),
            accounts: keyed(limits.log_ins_per_account_max),
            addresses: keyed(limits.log_ins_per_address_max),
            verified: NonZeroU32::new(limits.verifications_per_mailbox_max).map(|most| of(Quota::per_hour(most))),
        }
    }

    /// Counts a request. None: there is no limit.
    pub fn request(&self, client: Client) -> Result<Option<Allowance>, Error> {
        let Some((requests, limit)) = &self.requests else { return Ok(None) };
        let remaining = check(requests, &client)?;
        Ok(Some(Allowance { limit: *limit, remaining }))
    }

    /// Counts a mail that asks whether an address is somebody's, whoever had it sent.
    pub(super) fn verify(&self, address: &str) -> Result<(), Error> {
        self.verified.as_ref().map_or(Ok(()), |verified| check(verified, &address.to_lowercase()).map(drop))
    }

    /// Counts a log-in, whether or not it succeeds: otherwise the limit would reveal whether an account exists.
    pub(super) fn log_in(&self, email: &str, from: Option<IpAddr>) -> Result<(), Error> {
        if let (Some(addresses), Some(from)) = (&self.addresses, from) {
            check(addresses, &from)?;
        }
        if let Some(accounts) = &self.accounts {
            check(accounts, &email.to_owned())?;
        }
        Ok(())
    }
}

fn keyed<K: Clone + Eq + std::hash::Hash>(per_minute: u32) -> Option<Keyed<K>> {
    Some(of(Quota::per_minute(NonZeroU32::new(per_minute)?)))
}

fn of<K: Clone + Eq + std::hash::Hash>(quota: Quota) -> Keyed<K> {
    let limiter =
        RateLimiter::<K, _, _, NoOpMiddleware>::new(quota, HashMapStateStore::default(), DefaultClock::default());
    limiter.with_middleware()
}

fn check<K: Clone + Eq + std::hash::Hash>(keyed: &Keyed<K>, key: &K) -> Result<u32, Error> {
    if keyed.len() > KEYS_MAX {
        keyed.retain_recent();
    }
    match keyed.check_key(key) {
        Ok(state) => Ok(state.remaining_burst_capacity()),
        Err(until) => {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Err(Error::TooMany { retry_after: wait.max(Duration::from_secs(1)) })
        }
    }
}
