use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Error, Principal, Service};
use crate::store::once::Keep;
use crate::store::{self, Tx, once};

/// A client's word that all requests with this key are one request (the IETF draft "The Idempotency-Key HTTP Header
/// Field"; AIP-155). Kept for [`KEPT_MS`].
#[derive(Clone, Debug)]
pub struct Once {
    key: String,
    /// Of the request, by each secret of the host, the newest first.
    fingerprints: Vec<String>,
}

/// How long an answer is kept for retries: a day.
pub const KEPT_MS: i64 = crate::clock::DAY_MS;
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

impl Service {
    /// `key` is the client's, `request` is what distinguishes this request from others.
    pub fn idempotency_key(&self, key: &str, request: &[u8]) -> Result<Once, Error> {
        let fits = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        if !fits {
            let detail =
                format!("an idempotency key is 1 to {KEY_BYTES_MAX} visible ASCII characters without quotation marks");
            return Err(Error::invalid("", &detail));
        }
        Ok(Once { key: key.to_owned(), fingerprints: self.tokens.fingerprints(request) })
    }
}

impl Once {
    /// What the store knows it by.
    pub(super) fn name(&self, who: Principal, what: &str) -> (String, String) {
        (scope(who, what), self.key.clone())
    }

    /// What the store keeps of it.
    pub(super) fn keep<T: Serialize>(self, who: Principal, what: &str, answer: &T) -> Keep {
        let answer = serde_json::to_string(answer).unwrap_or_default();
        let fingerprint = self.fingerprints.into_iter().next().unwrap_or_default();
        Keep { scope: scope(who, what), name: self.key, fingerprint, answer }
    }
}

/// The keys whose first request is under way in this host. Other hosts wait for it at the database's key.
#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<(String, String)>>>);

/// Ends with the request.
pub(super) struct UnderWay(Option<(InFlight, (String, String))>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some((all, mine)) = self.0.take() {
            all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&mine);
        }
    }
}

/// A transaction that changes something, at most once for each key.
pub(super) struct Change {
    pub(super) tx: Tx,
    who: Principal,
    what: &'static str,
    once: Option<Once>,
    now: i64,
}

/// How often a transaction that lost a deadlock is tried again.
const TRIES_MAX: usize = 5;

impl Service {
    /// Makes a change once for each key, and again when the database asks for that. The key is taken with the answer,
    /// as the transaction's last step: a retry does the work in vain and then gets the answer that was kept.
    pub(super) async fn once<T, F>(
        &self,
        who: Principal,
        what: &str,
        once: Option<&Once>,
        change: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<T, Error>>,
    {
        let _under_way = self.enter(who, what, once)?;
        match tried(change).await {
            // It may have failed because it was made before.
            Err(e) => self.before(who, what, once).await?.ok_or(e),
            done => done,
        }
    }

    /// The answer that was kept for the key.
    async fn before<T: DeserializeOwned>(
        &self,
        who: Principal,
        what: &str,
        once: Option<&Once>,
    ) -> Result<Option<T>, Error> {
        let Some(once) = once else { return Ok(None) };
        let Some(before) = self.store.kept(&scope(who, what), &once.key).await? else { return Ok(None) };
        if !once.fingerprints.contains(&before.fingerprint) {
            return Err(Error::KeyReused);
        }
        let corrupt = |e: serde_json::Error| crate::store::Error::Undone(format!("a kept answer: {e}"));
        Ok(Some(serde_json::from_str(&before.answer).map_err(corrupt)?))
    }

    fn enter(&self, who: Principal, what: &str, once: Option<&Once>) -> Result<UnderWay, Error> {
        let Some(once) = once else { return Ok(UnderWay(None)) };
        let mine = (scope(who, what), once.key.clone());
        let first = self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner).insert(mine.clone());
        if first { Ok(UnderWay(Some((self.in_flight.clone(), mine)))) } else { Err(Error::InFlight) }
    }

    /// Begins the transaction.
    pub(super) async fn begin(&self, who: Principal, what: &'static str, once: Option<&Once>) -> Result<Change, Error> {
        Ok(Change { tx: self.store.begin().await?, who, what, once: once.cloned(), now: self.clock.now_ms() })
    }
}

/// Makes a change, again when the database asks for that.
pub(super) async fn tried<T, F: Future<Output = Result<T, Error>>>(change: impl FnMut() -> F) -> Result<T, Error> {
    tried_after(store::Error::is_transient, change).await
}

/// Makes a change, again after errors that will not come again.
pub(super) async fn tried_after<T, F: Future<Output = Result<T, Error>>>(
    passes: impl Fn(&store::Error) -> bool,
    mut change: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        match change().await {
            Err(Error::Internal(e) | Error::Contended(e)) if passes(&e) && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

impl Change {
    /// Commits, the answer with it. [`Error::InFlight`] when somebody else has taken the key.
    pub(super) async fn commit<T: Serialize>(mut self, answer: T) -> Result<T, Error> {
        if let Some(once) = self.once {
            let kept = once::keep(&mut self.tx, &[once.keep(self.who, self.what, &answer)], self.now).await;
            kept.map_err(|e| if e.is_taken() { Error::InFlight } else { e.into() })?;
        }
        self.tx.commit().await?;
        Ok(answer)
    }
}

/// Keys of different users, and of different calls, are different keys.
fn scope(who: Principal, what: &str) -> String {
    format!("{}:{what}", who.user_id)
}
