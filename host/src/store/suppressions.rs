//! Addresses that get no more mails, found by a keyed hash.

use std::collections::BTreeSet;

use super::conditions::{Arg, Conditions};
use super::dialect::Column::Int;
use super::tx::insert_id;
use super::users::json;
use super::{Error, Result, Store, Tx, with_pool, with_tx};
use crate::shop::text::Email;
use crate::suppression::{AddressKey, Cause, NewSuppression, Scope, Suppressed, Suppression, SuppressionFilter};

#[derive(sqlx_macros::FromRow)]
struct Row {
    id: i64,
    address_hash: String,
    address: Option<String>,
    category: String,
    cause: String,
    source: String,
    note: String,
    created_at: i64,
    expires_at: Option<i64>,
}

const COLUMNS: &str =
    "q.id, q.address_hash, q.address, q.category, q.cause, q.source, q.note, q.created_at, q.expires_at";

impl TryFrom<Row> for Suppression {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row { id, address_hash: _, address, category, cause, source, note, created_at, expires_at } = row;
        let (category, cause) = (Scope::try_from(category), Cause::try_from(cause));
        let corrupt = |why| Error::Corrupt { what: "suppression", id, why };
        let (category, cause) = (category.map_err(corrupt)?, cause.map_err(corrupt)?);
        Ok(Self { id, address, category, cause, source, note, created_at, expires_at })
    }
}

impl Store {
    /// What stands against each of the addresses, whose keys these are, at a time (unix milliseconds): as many answers.
    pub(crate) async fn suppressed(&self, addresses: &[Vec<AddressKey>], now: i64) -> Result<Vec<Vec<Suppression>>> {
        // Many mails to one address ask once.
        let keys: BTreeSet<i64> = addresses.iter().flatten().map(|key| key.key).collect();
        let keys = json(&keys.into_iter().map(|key| serde_json::json!({ "address": key })).collect::<Vec<_>>());
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "select {COLUMNS} from {} {} mail_suppressions q on q.address_key = x.address \
             where q.expires_at is null or q.expires_at > $2",
            dialect.rows(1, &[Int("address")]),
            if dialect == super::Dialect::MySql { "straight_join" } else { "join" },
        ));
        let rows: Vec<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(keys).bind(now).fetch_all(pool).await)?;
        let mut found = vec![Vec::new(); addresses.len()];
        for row in rows {
            let of = addresses.iter().zip(&mut found);
            let of = of.filter(|(keys, _)| keys.iter().any(|key| key.hash == row.address_hash));
            let entries: Vec<_> = of.map(|(_, entries)| entries).collect();
            let entry = Suppression::try_from(row)?;
            for entries in entries {
                entries.push(entry.clone());
            }
        }
        Ok(found)
    }

    /// Entries that pass the filter and whose time is not over, newest first, with an id below `before`; `keys` are the asked
    /// address's.
    pub(crate) async fn suppressions(
        &self,
        filter: &SuppressionFilter,
        keys: &[AddressKey],
        before: i64,
        limit: i64,
    ) -> Result<Vec<Suppression>> {
        let SuppressionFilter { address, cause, category } = filter;
        let mut query = Conditions::default();
        query.and("q.id < ?", Arg::Int(before));
        query.and("(q.expires_at is null or q.expires_at > ?)", Arg::Int(self.clock.now_ms()));
        if address.is_some() {
            query.fixed("(1 = 0");
            for key in keys {
                query.glue(" or q.address_hash = ?", Arg::Text(key.hash.clone()));
            }
            query.glue(" or q.id = ?)", Arg::Int(0));
        }
        if let Some(cause) = cause {
            query.and("q.cause = ?", Arg::Text(cause.as_str().to_owned()));
        }
        if let Some(category) = category {
            query.and("q.category = ?", Arg::Text(category.as_str().to_owned()));
        }
        let select = format!("select {COLUMNS} from mail_suppressions q");
        let rows: Vec<Row> = query.fetch(self, &select, "q.id desc", limit).await?;
        rows.into_iter().map(Suppression::try_from).collect()
    }

    /// One entry.
    pub(crate) async fn suppression(&self, id: i64) -> Result<Option<Suppression>> {
        let sql = self.dialect().sql(&format!("select {COLUMNS} from mail_suppressions q where q.id = $1"));
        let row: Option<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?;
        row.map(Suppression::try_from).transpose()
    }

    /// Lifts an entry; false when there is none.
    pub(crate) async fn lift_suppression(&self, id: i64) -> Result<bool> {
        let mut tx = self.begin().await?;
        let gone = tx.delete("delete from mail_suppressions where id = $1", &[id]).await?;
        tx.commit().await?;
        Ok(gone > 0)
    }

    /// Lifts what a relay said of an address, unless it has said so again since a mail saw it: the mail arrived.
    pub(crate) async fn lift_bounce(&self, seen: &Suppressed) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "delete from mail_suppressions where id = $1 and created_at = $2 and cause = 'bounced' and source like '{BY_RELAY}%'"
        );
        tx.delete(&sql, &[seen.id, seen.since]).await?;
        tx.commit().await
    }

    /// Forgets entries whose time was over before `until`, unix milliseconds.
    pub(crate) async fn forget_suppressions(&self, until: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.delete("delete from mail_suppressions where expires_at < $1", &[until]).await?;
        tx.commit().await
    }
}

/// How the source begins of what a relay said.
const BY_RELAY: &str = "relay ";
/// How the source begins of what a server reported later. That a relay took a mail takes nothing of it back: it takes all.
const BY_REPORT: &str = "report ";
/// How the source begins of what a policy makes of such reports.
const BY_POLICY: &str = "policy revision ";
/// The longest source, in characters.
const SOURCE_CHARS_MAX: usize = 100;

/// What a relay says that took a mail, or did not.
pub(crate) fn by_relay(relay: &str) -> String {
    format!("{BY_RELAY}{relay}").chars().take(SOURCE_CHARS_MAX).collect()
}

/// What a server reported.
pub(crate) fn by_report(reporter: &str) -> String {
    format!("{BY_REPORT}{reporter}").chars().take(SOURCE_CHARS_MAX).collect()
}

/// What a revision of the policy makes of reports.
pub(crate) fn by_policy(revision: i64) -> String {
    format!("{BY_POLICY}{revision}")
}

/// Whether a server or a component says so, and no human.
fn is_learnt(source: &str) -> bool {
    [BY_RELAY, BY_REPORT, BY_POLICY].iter().any(|by| source.starts_with(by))
}

/// Writes an entry, or renews the one of the same category and cause, whichever secret it was keyed with; its id. What a server
/// or a policy says changes nothing of what others wrote, and ends nothing sooner. Taken when another writes it at this moment.
pub(crate) async fn suppress(
    tx: &mut Tx,
    keys: &[AddressKey],
    new: &NewSuppression,
    source: &str,
    now: i64,
) -> Result<i64> {
    let NewSuppression { address, category, cause, note, expires_at } = new;
    let dialect = tx.dialect();
    let find = format!(
        "select q.id, q.source, q.expires_at from mail_suppressions q \
         where q.address_hash = $1 and q.category = $2 and q.cause = $3 {}",
        dialect.lock()
    );
    let mut known: Option<(i64, String, Option<i64>)> = None;
    for key in keys {
        known = with_tx!(&mut *tx, |c| sqlx::query_as(dialect.sql(&find))
            .bind(&key.hash)
            .bind(category.as_str())
            .bind(cause.as_str())
            .fetch_optional(c)
            .await)?;
        if known.is_some() {
            break;
        }
    }
    let Some(key) = keys.first() else { return Err(Error::Undone("no secret to key an address with".to_owned())) };
    let Some((id, by, until)) = known else {
        let id = insert_id!(
            tx,
            "insert into mail_suppressions (address_key, address_hash, address, category, cause, source, note, \
             created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            key.key,
            &key.hash,
            address.as_str(),
            category.as_str(),
            cause.as_str(),
            source,
            note.as_str(),
            now,
            expires_at,
        );
        return Ok(id);
    };
    let ends_sooner = expires_at.is_some_and(|new| until.is_none_or(|until| until > new));
    if is_learnt(source) && (!is_learnt(&by) || ends_sooner) {
        return Ok(id);
    }
    let sql = dialect.sql(
        "update mail_suppressions set address_key = $1, address_hash = $2, address = $3, source = $4, note = $5, \
         created_at = $6, expires_at = $7 where id = $8",
    );
    with_tx!(tx, |c| sqlx::query(sql)
        .bind(key.key)
        .bind(&key.hash)
        .bind(address.as_str())
        .bind(source)
        .bind(note.as_str())
        .bind(now)
        .bind(expires_at)
        .bind(id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(id)
}

/// Lifts what stands against an address for one cause.
pub(crate) async fn lift(tx: &mut Tx, keys: &[AddressKey], category: Scope, cause: Cause) -> Result<()> {
    for key in keys {
        let sql =
            tx.dialect().sql("delete from mail_suppressions where address_hash = $1 and category = $2 and cause = $3");
        with_tx!(&mut *tx, |c| sqlx::query(sql)
            .bind(&key.hash)
            .bind(category.as_str())
            .bind(cause.as_str())
            .execute(c)
            .await
            .map(drop))?;
    }
    Ok(())
}

/// Has what the owner of an address asked for hold for their new one as well. What servers and operators said of the old one
/// says nothing of it.
pub(crate) async fn follow(
    tx: &mut Tx,
    old: &[AddressKey],
    new: &[AddressKey],
    address: &Email,
    now: i64,
) -> Result<()> {
    for key in old {
        let sql = tx.dialect().sql(&format!(
            "select {COLUMNS} from mail_suppressions q where q.address_hash = $1 \
             and q.cause in ('unsubscribed', 'complained') and (q.expires_at is null or q.expires_at > $2)"
        ));
        let rows: Vec<Row> = with_tx!(&mut *tx, |c| sqlx::query_as(sql).bind(&key.hash).bind(now).fetch_all(c).await)?;
        for row in rows {
            let Suppression { category, cause, source, note, expires_at, .. } = row.try_into()?;
            let note = note.try_into().unwrap_or_default();
            let entry = NewSuppression { address: address.clone(), category, cause, note, expires_at };
            suppress(tx, new, &entry, &source, now).await?;
        }
    }
    Ok(())
}

/// Keeps of an address its hash alone: its user has left.
pub(crate) async fn redact(tx: &mut Tx, keys: &[AddressKey]) -> Result<()> {
    for key in keys {
        let sql = tx.dialect().sql("update mail_suppressions set address = null, note = '' where address_hash = $1");
        with_tx!(&mut *tx, |c| sqlx::query(sql).bind(&key.hash).execute(c).await.map(drop))?;
    }
    Ok(())
}
