//! Components, their revisions, and which serve: added and never changed, but for the row of a slot.

use std::collections::HashSet;

use serde::Serialize;

use super::conditions::{Arg, Conditions};
use super::tx::insert_id;
use super::{Result, Store, Tx, with_pool, with_tx};

/// Components and their code are kept in parts of this many bytes.
pub(super) const PART_BYTES: usize = 1 << 20;

/// A revision, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub struct RevisionRow {
    /// Its number.
    pub id: i64,
    /// "renderer" or "policy".
    pub slot: String,
    /// SHA-256 of the component.
    pub digest: String,
    /// What `configure` gets: JSON.
    pub config: String,
    /// "built-in", a path, or "upload".
    pub origin: String,
    /// What it is when it serves nowhere: "ready", "retired" or "quarantined".
    #[sqlx(rename = "rests")]
    pub idle_stage: String,
    /// What the gate found: JSON.
    pub report: String,
    /// Why it is there, or why it is at its stage.
    pub why: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Who installed it.
    pub created_by: String,
}

const REVISION: &str = "id, slot, digest, config, origin, rests, report, why, created_at, created_by";

/// A revision that is to be written.
pub(crate) struct NewRevision<'a> {
    pub(crate) slot: &'a str,
    pub(crate) digest: &'a str,
    pub(crate) config: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) report: &'a str,
    pub(crate) why: &'a str,
    pub(crate) by: &'a str,
}

/// Who serves a slot. None: the built-in of the host, or nobody.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub struct SlotRow {
    /// "renderer" or "policy".
    pub slot: String,
    /// Raised by every change.
    pub version: i64,
    /// Serves.
    pub active: Option<i64>,
    /// Served before, and takes over.
    pub previous: Option<i64>,
    /// Sees live events and answers nobody.
    pub shadow: Option<i64>,
    /// Serves a part of the orders.
    pub canary: Option<i64>,
    /// Which part of a hundred.
    pub percent: i64,
    /// How the part grows: JSON, or empty.
    pub plan: String,
    /// Unix milliseconds.
    pub changed_at: i64,
}

const SLOT: &str = "slot, version, active, previous, shadow, canary, percent, plan, changed_at";

/// What was done with a slot, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx_macros::FromRow, utoipa::ToSchema)]
#[schema(as = PluginChange)]
pub struct Change {
    /// Counts up.
    pub id: i64,
    /// "renderer" or "policy".
    pub slot: String,
    /// The slot's version since then.
    pub version: i64,
    /// Which revision; null: the built-in.
    pub revision: Option<i64>,
    /// "install", "shadow", "canary", "activate", "retire" or "quarantine".
    pub action: String,
    /// The share of a canary.
    pub percent: i64,
    /// Why.
    pub why: String,
    /// When.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// Who.
    pub created_by: String,
}

impl Store {
    /// Keeps a component, unless it is kept already. Either way it is as good as new: it is not forgotten soon.
    pub(crate) async fn keep_component(&self, digest: &str, wasm: &[u8], metadata: &str, by: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        if renew_component(&mut tx, digest, self.clock.now_ms()).await? {
            if !has_component(&mut tx, digest).await? {
                keep_parts(&mut tx, digest, wasm).await?;
            }
            return tx.commit().await;
        }
        let sql = tx.dialect().sql(
            "insert into plugin_components (digest, bytes, metadata, created_at, created_by) \
             values ($1, $2, $3, $4, $5)",
        );
        let bytes = i64::try_from(wasm.len()).unwrap_or(i64::MAX);
        let kept = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(digest)
            .bind(bytes)
            .bind(metadata)
            .bind(self.clock.now_ms())
            .bind(by)
            .execute(c)
            .await
            .map(drop));
        match kept.map_err(super::Error::from) {
            // Another host was faster.
            Err(e) if e.is_taken() => return Ok(()),
            kept => kept?,
        }
        keep_parts(&mut tx, digest, wasm).await?;
        tx.commit().await
    }

    /// The digests of all components that are kept.
    pub(crate) async fn components(&self) -> Result<HashSet<String>> {
        let sql = self.dialect().sql("select digest from plugin_parts where part = 0");
        let digests: Vec<String> = with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_all(pool).await)?;
        Ok(digests.into_iter().collect())
    }

    /// A kept component.
    pub(crate) async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>> {
        self.parts("select content from plugin_parts where digest = $1 order by part", digest).await
    }

    /// The parts that `sql` finds by `key`, together; none when it finds none.
    pub(super) async fn parts(&self, sql: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let sql = self.dialect().sql(sql);
        let parts: Vec<Vec<u8>> = with_pool!(self, |pool| sqlx::query_scalar(sql).bind(key).fetch_all(pool).await)?;
        Ok(Some(parts.concat()).filter(|bytes| !bytes.is_empty()))
    }

    /// One revision.
    pub(crate) async fn revision(&self, id: i64) -> Result<Option<RevisionRow>> {
        let mut query = Conditions::default();
        query.and("id = ?", Arg::Int(id));
        Ok(query.fetch(self, &format!("select {REVISION} from plugin_revisions"), "id", 1).await?.pop())
    }

    /// The newest revision of a slot with this component and this config.
    pub(crate) async fn same_revision(&self, new: &NewRevision<'_>) -> Result<Option<RevisionRow>> {
        let mut query = Conditions::default();
        query.and("slot = ?", Arg::Text(new.slot.to_owned()));
        query.and("digest = ?", Arg::Text(new.digest.to_owned()));
        query.and("config_hash = ?", Arg::Text(crate::plugin::digest(new.config.as_bytes())));
        query.and("origin = ?", Arg::Text(new.origin.to_owned()));
        Ok(query.fetch(self, &format!("select {REVISION} from plugin_revisions"), "id desc", 1).await?.pop())
    }

    /// Revisions of a slot or of all, newest first, with a number below `before`.
    pub(crate) async fn revisions(&self, slot: Option<&str>, before: i64, limit: i64) -> Result<Vec<RevisionRow>> {
        let mut query = Conditions::default();
        query.and("id < ?", Arg::Int(before));
        if let Some(slot) = slot {
            query.and("slot = ?", Arg::Text(slot.to_owned()));
        }
        query.fetch(self, &format!("select {REVISION} from plugin_revisions"), "id desc", limit).await
    }

    /// Writes a revision; its number.
    pub(crate) async fn add_revision(&self, new: &NewRevision<'_>) -> Result<i64> {
        let mut tx = self.begin().await?;
        // First, as those do who forget components.
        let slot = lock_slot(&mut tx, new.slot).await?;
        let now = self.clock.now_ms();
        let id = insert_id!(
            &mut tx,
            "insert into plugin_revisions (slot, digest, config, config_hash, origin, rests, report, why, created_at, \
             created_by) values ($1, $2, $3, $4, $5, 'ready', $6, $7, $8, $9)",
            new.slot,
            new.digest,
            new.config,
            crate::plugin::digest(new.config.as_bytes()),
            new.origin,
            new.report,
            new.why,
            now,
            new.by,
        );
        let change = Change {
            id: 0,
            slot: slot.slot,
            version: slot.version,
            revision: Some(id),
            action: "install".to_owned(),
            percent: 0,
            why: new.why.to_owned(),
            created_at: now,
            created_by: new.by.to_owned(),
        };
        note(&mut tx, &change).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Every slot.
    pub(crate) async fn slots(&self) -> Result<Vec<SlotRow>> {
        let sql = self.dialect().sql(&format!("select {SLOT} from plugin_slots order by slot"));
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?)
    }

    /// What was done, newest first, before a change.
    pub(crate) async fn plugin_history(&self, slot: Option<&str>, before: i64, limit: i64) -> Result<Vec<Change>> {
        let mut query = Conditions::default();
        query.and("id < ?", Arg::Int(before));
        if let Some(slot) = slot {
            query.and("slot = ?", Arg::Text(slot.to_owned()));
        }
        let select = "select id, slot, version, revision, action, percent, why, created_at, created_by \
                      from plugin_history";
        query.fetch(self, select, "id desc", limit).await
    }
}

/// Whether there is such a component, new as of now if so, and locked.
async fn renew_component(tx: &mut Tx, digest: &str, now: i64) -> Result<bool> {
    let sql = tx.dialect().sql("update plugin_components set created_at = $1 where digest = $2");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(now).bind(digest).execute(c).await.map(drop))?;
    // Not by the rows that changed: MySQL does not count one that was renewed in this very millisecond.
    let sql = tx.dialect().sql("select count(*) from plugin_components where digest = $1");
    let found: i64 = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(digest).fetch_one(c).await)?;
    Ok(found > 0)
}

/// Whether a component is kept: what it was stays known when it is forgotten.
pub(crate) async fn has_component(tx: &mut Tx, digest: &str) -> Result<bool> {
    let sql = tx.dialect().sql("select count(*) from plugin_parts where digest = $1 and part = 0");
    let found: i64 = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(digest).fetch_one(c).await)?;
    Ok(found > 0)
}

async fn keep_parts(tx: &mut Tx, digest: &str, wasm: &[u8]) -> Result<()> {
    for (part, content) in (0_i64..).zip(wasm.chunks(PART_BYTES)) {
        let sql = tx.dialect().sql("insert into plugin_parts (digest, part, content) values ($1, $2, $3)");
        let content = content.to_vec();
        with_tx!(&mut *tx, |c| sqlx::query(sql).bind(digest).bind(part).bind(content).execute(c).await.map(drop))?;
    }
    Ok(())
}

/// A slot, locked until the transaction ends.
pub(crate) async fn lock_slot(tx: &mut Tx, slot: &str) -> Result<SlotRow> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!("select {SLOT} from plugin_slots q where q.slot = $1 {}", dialect.lock()));
    Ok(with_tx!(tx, |c| sqlx::query_as(sql).bind(slot).fetch_one(c).await)?)
}

/// Writes a locked slot.
pub(crate) async fn write_slot(tx: &mut Tx, slot: &SlotRow) -> Result<()> {
    let sql = tx.dialect().sql(
        "update plugin_slots set version = $1, active = $2, previous = $3, shadow = $4, canary = $5, percent = $6, \
         plan = $7, changed_at = $8 where slot = $9",
    );
    with_tx!(tx, |c| sqlx::query(sql)
        .bind(slot.version)
        .bind(slot.active)
        .bind(slot.previous)
        .bind(slot.shadow)
        .bind(slot.canary)
        .bind(slot.percent)
        .bind(&slot.plan)
        .bind(slot.changed_at)
        .bind(&slot.slot)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// What a revision is when it serves nowhere. Only the lock on its slot keeps it so.
pub(crate) async fn idle_stage(tx: &mut Tx, id: i64) -> Result<String> {
    let sql = tx.dialect().sql("select rests from plugin_revisions where id = $1");
    Ok(with_tx!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_one(c).await)?)
}

/// Writes what a revision is when it serves nowhere.
pub(crate) async fn set_idle_stage(tx: &mut Tx, id: i64, stage: &str, why: &str) -> Result<()> {
    let sql = tx.dialect().sql("update plugin_revisions set rests = $1, why = $2 where id = $3");
    with_tx!(tx, |c| sqlx::query(sql).bind(stage).bind(why).bind(id).execute(c).await.map(drop))?;
    Ok(())
}

/// Writes down what was done.
pub(crate) async fn note(tx: &mut Tx, change: &Change) -> Result<()> {
    let sql = tx.dialect().sql(
        "insert into plugin_history (slot, version, revision, action, percent, why, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    );
    with_tx!(tx, |c| sqlx::query(sql)
        .bind(&change.slot)
        .bind(change.version)
        .bind(change.revision)
        .bind(&change.action)
        .bind(change.percent)
        .bind(&change.why)
        .bind(change.created_at)
        .bind(&change.created_by)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}
