//! Which hosts there are: each says every few seconds that it is there.

use super::{Result, Store, Tx, shares, with_pool, with_tx};
use crate::alive::Process;
use crate::clock::DAY_MS;

/// A host that was not there for so long has ended, in milliseconds.
const SILENT_MS_MAX: i64 = 30_000;
/// And is forgotten after so many.
const FORGET_MS: i64 = DAY_MS;

/// A run of a host.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(crate) struct HostRow {
    /// Random.
    pub(crate) host: String,
    pub(crate) version: String,
    /// The newest step of the schema that its program knows.
    pub(crate) schema_known: i64,
    pub(crate) roles: String,
    /// Unix milliseconds, as all that follow.
    pub(crate) started_at: i64,
    pub(crate) seen_at: i64,
    /// Mails that relays took from it since it started.
    pub(crate) sent: i64,
    /// Mails that it gave up since it started.
    pub(crate) failed: i64,
}

/// A run of a host that may hold claims.
#[derive(Clone, Debug, sqlx_macros::FromRow)]
pub(crate) struct Holder {
    /// Which its claims have.
    #[sqlx(rename = "holder")]
    pub(crate) number: i64,
    machine: String,
    pid: i64,
    pid_started: i64,
    /// For how long it has said nothing, in milliseconds.
    pub(crate) silent_ms: i64,
}

impl Holder {
    pub(crate) fn process(&self) -> Process {
        Process { machine: self.machine.clone(), pid: self.pid, started: self.pid_started }
    }
}

impl Store {
    /// Says that a host is there; `seen_at` is the database's to say.
    pub(crate) async fn beat(&self, row: &HostRow) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql =
            tx.dialect().sql(&format!("update hosts set seen_at = {now}, sent = $1, failed = $2 where host = $3"));
        let known = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(row.sent)
            .bind(row.failed)
            .bind(&row.host)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        if known == 0 {
            let process = Process::this();
            let sql = tx.dialect().sql(&format!("delete from hosts where seen_at < {now} - {FORGET_MS}"));
            with_tx!(&mut tx, |c| sqlx::query(sql).execute(c).await.map(drop))?;
            let sql = tx.dialect().sql(&format!(
                "insert into hosts (host, version, schema_known, roles, started_at, seen_at, holder, machine, pid, \
                 pid_started, sent, failed) values ($1, $2, $3, $4, {now}, {now}, $5, $6, $7, $8, $9, $10)"
            ));
            with_tx!(&mut tx, |c| sqlx::query(sql)
                .bind(&row.host)
                .bind(&row.version)
                .bind(row.schema_known)
                .bind(&row.roles)
                .bind(self.holder)
                .bind(&process.machine)
                .bind(process.pid)
                .bind(process.started)
                .bind(row.sent)
                .bind(row.failed)
                .execute(c)
                .await
                .map(drop))?;
        }
        tx.commit().await
    }

    /// The hosts that are there, the oldest first.
    pub(crate) async fn hosts(&self) -> Result<Vec<HostRow>> {
        let now = self.dialect().now_ms(self.offset_ms());
        let sql = self.dialect().sql(&format!(
            "select host, version, schema_known, roles, started_at, seen_at, sent, failed from hosts \
             where seen_at > {now} - {SILENT_MS_MAX} order by started_at, host"
        ));
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?)
    }

    /// Says that a host is still there, and that its claims are its own.
    pub(crate) async fn still_there(&self, host: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx.dialect().sql(&format!("update hosts set seen_at = {now}, holder = $1 where host = $2"));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(self.holder).bind(host).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// The runs of other hosts that may hold claims.
    pub(crate) async fn other_holders(&self) -> Result<Vec<Holder>> {
        let now = self.dialect().now_ms(self.offset_ms());
        let sql = self.dialect().sql(&format!(
            "select holder, machine, pid, pid_started, {now} - seen_at as silent_ms from hosts \
             where holder <> 0 and holder <> $1"
        ));
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(self.holder).fetch_all(pool).await)?)
    }

    /// Ends the claims of a run that is gone, so that they are claimed anew; says how many. Of one of which that is not certain
    /// those stay in which a mail may be on its way: they end with their lease. One that is not gone after all does nothing with what it
    /// has lost: an intent needs a lease.
    pub(crate) async fn take_over(&self, holder: i64, is_certain: bool) -> Result<u64> {
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        let now = dialect.now_ms(self.offset_ms());
        let phases = if is_certain { "" } else { "and phase = 0" };
        let taken = end_claims(&mut tx, holder, &now, phases).await?;
        if is_certain {
            shares::free_soon(&mut tx, holder, &now).await?;
        }
        let sql = dialect.sql("update hosts set holder = 0 where holder = $1");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(holder).execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(taken)
    }

    /// Ends the claims of this run of which its host does not know, because the answer to one did not come: all but those of
    /// `known` events. Says how many.
    pub(crate) async fn release_unknown(&self, known: &[i64]) -> Result<u64> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let known: Vec<String> = known.iter().map(i64::to_string).collect();
        let unknown =
            if known.is_empty() { String::new() } else { format!("and state_id not in ({})", known.join(", ")) };
        let released = end_claims(&mut tx, self.holder, &now, &unknown).await?;
        tx.commit().await?;
        Ok(released)
    }

    /// Takes a host out that stops.
    pub(crate) async fn leave(&self, host: &str) -> Result<()> {
        let sql = self.dialect().sql("delete from hosts where host = $1");
        let mut tx = self.begin().await?;
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(host).execute(c).await.map(drop))?;
        tx.commit().await
    }
}

/// Has the claims of a run, of those that match, end as if their leases had; says how many.
async fn end_claims(tx: &mut Tx, holder: i64, now: &str, matching: &str) -> Result<u64> {
    let sql = tx.dialect().sql(&format!(
        "update notification_events_queue set due_at = {now} \
         where holder - epoch = $1 and due_at > {now} and claims > 0 {matching}"
    ));
    Ok(with_tx!(tx, |c| sqlx::query(sql).bind(holder).execute(c).await.map(|done| done.rows_affected()))?)
}
