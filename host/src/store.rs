//! The database, whichever it is. All SQL of the host is in this module.
//!
//! Rules that keep one text for three databases: every integer is BIGINT, time is unix milliseconds, status is text
//! with a check, JSON is text, columns are always listed, a parameter stands once and in order (`$1` becomes `?` for
//! `MySQL`), what is inserted travels as values (`insert`), and what else is done to many rows as one JSON parameter that
//! `Dialect::rows` turns into a table.

pub(crate) mod accounts;
pub(crate) mod audit;
mod backfill;
pub mod backup;
pub(crate) mod bulk;
mod canaries;
mod code;
mod conditions;
pub(crate) mod contents;
mod dialect;
pub(crate) mod discounts;
pub(crate) mod endpoints;
mod examine;
pub(crate) mod hosts;
mod insert;
mod matching;
mod nodelay;
pub(crate) mod once;
mod open;
pub(crate) mod operations;
pub(crate) mod orders;
mod postgres;
pub(crate) mod products;
pub(crate) mod reports;
pub(crate) mod retention;
mod steps;
pub(crate) mod stock_alerts;
pub(crate) mod strays;
pub(crate) mod suppressions;
mod tx;
mod upgrade;
pub(crate) mod users;
mod wake;
mod writer;

pub mod notifications;
pub mod plugins;
pub mod queue;
pub mod shares;
pub(crate) mod signatures;
pub(crate) mod stored;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use sqlx::{MySqlPool, SqlitePool};

pub(crate) use dialect::Dialect;
pub use examine::{Examined, Schema};
pub use open::Options;
pub(crate) use tx::{Tx, with_tx};

use crate::clock::Clock;

/// More than a page of `SQLite`, so that the row needs one that nothing else is in.
const PROBE_BYTES: usize = 8_192;

/// Runs `$body` with `$pool` bound to the pool that is open; for reads outside a transaction.
macro_rules! with_pool {
    ($store:expr, |$pool:ident| $body:expr) => {
        match &$store.db {
            $crate::store::Db::Sqlite { readers: $pool, .. } => $body,
            $crate::store::Db::MySql($pool, _) => $body,
            $crate::store::Db::Postgres(pg) => {
                let session = &mut pg.read().await?;
                let $pool = session;
                $body
            }
        }
    };
}
pub(crate) use with_pool;

/// An open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
    /// Until when no endpoint of a webhook is known to hear of changes, by the monotonic clock.
    unheard_until_ms: Arc<AtomicI64>,
    /// The number of this run, by which others know its claims.
    holder: i64,
    /// Where claims begin to look.
    watermark: Arc<queue::Watermark>,
}

#[derive(Clone)]
enum Db {
    /// One writer, whose commits are shared; many readers.
    Sqlite {
        readers: SqlitePool,
        writer: writer::Writer,
    },
    /// And `auto_increment_increment`, which clusters set.
    MySql(MySqlPool, i64),
    Postgres(postgres::Pg),
}

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database we know.
    #[error("the database URL must begin with sqlite:, mysql:, mariadb: or postgres:")]
    Url,
    /// Its connections would each have a database of their own.
    #[error("sqlite::memory: cannot be shared by connections; give a file")]
    InMemory,
    /// Nothing answers where the database should be.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// Host and port, or a socket's path.
        address: String,
        /// What the last attempt ended with.
        why: String,
    },
    /// The database did not do it.
    #[error("database: {}", in_words(.0))]
    Driver(#[from] sqlx::Error),
    /// The schema is not what this host expects.
    #[error("migrations: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The schema lacks steps, and it is not this host's to apply them.
    #[error("the database's schema is number {applied}, and this program needs {known}: run `ecomm migrate`")]
    SchemaOlder {
        /// The newest step that was applied.
        applied: i64,
        /// The newest of this program.
        known: i64,
    },
    /// The schema was brought too far for this program.
    #[error(
        "the database's schema is number {applied}, and this program knows {known}: a release brought it there that does not \
         work beside this one. Use that release, or restore the backup from before it"
    )]
    SchemaNewer {
        /// The newest step that was applied.
        applied: i64,
        /// The newest of this program.
        known: i64,
    },
    /// Hosts are at work that would fail on this program's schema.
    #[error(
        "the schema is left as it is, because hosts are at work that are older than the release before this one: {hosts}. \
         Upgrade them by way of the releases between, or stop them; one that has crashed is forgotten after 30 seconds"
    )]
    HostsTooOld {
        /// Each with its version.
        hosts: String,
    },
    /// It could not be begun or was not seen to its end, for a reason of the host's.
    #[error("{0}")]
    Undone(String),
    /// Work that was done for many at one time failed for all.
    #[error(transparent)]
    Shared(std::sync::Arc<Error>),
    /// An order asks for more than is left.
    #[error("not all of this is in stock")]
    OutOfStock,
    /// A row holds what this host cannot read.
    #[error("{what} {id} holds what cannot be read: {why}")]
    Corrupt {
        /// Which table's.
        what: &'static str,
        /// Which row.
        id: i64,
        /// What is wrong with it.
        why: String,
    },
}

/// The driver's words, and more of them where those name no setting.
fn in_words(error: &sqlx::Error) -> String {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return format!(
            "{error}: either it does not answer, or all of database.connections_max are in use \
             (database.connect_timeout_ms)"
        );
    }
    error.to_string()
}

/// The result code of an error of `SQLite`: the lowest eight bits of its extended one.
fn sqlite_code(e: &dyn sqlx::error::DatabaseError) -> Option<u32> {
    e.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    Some(e.code()?.parse::<u32>().ok()? & 0xff)
}

impl Error {
    /// Whether a unique key refused the row.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Driver(sqlx::Error::Database(e)) => e.is_unique_violation(),
            Self::Shared(e) => e.is_taken(),
            _ => false,
        }
    }

    /// Whether the same transaction, tried again, may succeed: a deadlock's victim, a lost serialisation, or a lock that did not come
    /// free in time. 1020 of `MariaDB` is a row that changed since the transaction began.
    pub fn is_transient(&self) -> bool {
        let e = match self {
            Self::Driver(sqlx::Error::Database(e)) => e,
            Self::Shared(e) => return e.is_transient(),
            _ => return false,
        };
        match e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
            Some(e) => matches!(e.number(), 1020 | 1205 | 1213),
            None => matches!(e.code().as_deref(), Some("40001" | "40P01" | "55P03")),
        }
    }
}

impl Error {
    /// Whether the database has no room for more: `SQLITE_FULL` and `SQLITE_IOERR_WRITE` (a quota), 1021 and 1114 of `MySQL`,
    /// 53100 of `PostgreSQL`.
    pub fn is_full(&self) -> bool {
        let e = match self {
            Self::Driver(sqlx::Error::Database(e)) => e,
            Self::Shared(e) => return e.is_full(),
            _ => return false,
        };
        if let Some(e) = e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
            return matches!(e.number(), 1021 | 1114);
        }
        let codes: &[&str] = match e.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
            Some(_) => &["13", "778"],
            None => &["53100"],
        };
        e.code().is_some_and(|code| codes.contains(&&*code))
    }

    /// Whether the database takes no writes for now: it is a standby, or its disk has failed. `SQLITE_READONLY`; 1290, 1792 and
    /// 1836 of `MySQL`; 25006 of `PostgreSQL`.
    pub fn is_read_only(&self) -> bool {
        let e = match self {
            Self::Driver(sqlx::Error::Database(e)) => e,
            Self::Shared(e) => return e.is_read_only(),
            _ => return false,
        };
        if let Some(e) = e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
            return matches!(e.number(), 1290 | 1792 | 1836);
        }
        match sqlite_code(&**e) {
            Some(code) => code == 8,
            None => e.code().as_deref() == Some("25006"),
        }
    }

    /// Whether what is stored cannot be read, which trying again does not change.
    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Driver(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => true,
            Self::Shared(e) => e.is_unreadable(),
            _ => false,
        }
    }

    /// Whether the database is not there, or takes no more connections or no writes: the same may succeed in a moment.
    pub fn is_away(&self) -> bool {
        if self.is_read_only() {
            return true;
        }
        match self {
            Self::Unreachable { .. } => true,
            Self::Driver(e) => open::is_cut(e),
            Self::Shared(e) => e.is_away(),
            _ => false,
        }
    }

    /// Whether it is about what was asked: the database answered, and something else may well succeed.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Driver(e) => matches!(e, sqlx::Error::Database(_) | sqlx::Error::ColumnDecode { .. }),
            Self::OutOfStock | Self::Corrupt { .. } => true,
            Self::Shared(e) => e.is_refusal(),
            Self::Url
            | Self::InMemory
            | Self::Unreachable { .. }
            | Self::Migrate(_)
            | Self::SchemaOlder { .. }
            | Self::SchemaNewer { .. }
            | Self::HostsTooOld { .. }
            | Self::Undone(_) => false,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Store {
    /// Whether the database can be written to: writes a row that needs room of its own, and takes it away again.
    pub async fn probe(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        let id: i64 =
            tx::insert_id!(&mut tx, "insert into readiness_probes (filler) values ($1)", "x".repeat(PROBE_BYTES));
        let sql = tx.dialect().sql("delete from readiness_probes where id = $1");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Starts a transaction. Dropped without [`Tx::commit`], it never was.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(match &self.db {
            Db::Sqlite { writer, .. } => Tx::Sqlite(writer.begin().await?),
            Db::MySql(pool, step) => Tx::MySql(pool.begin().await?, *step),
            Db::Postgres(pg) => Tx::Postgres(pg.begin().await?),
        })
    }

    /// The one that is open.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.db {
            Db::Sqlite { .. } => Dialect::Sqlite,
            Db::MySql(..) => Dialect::MySql,
            Db::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Whether other hosts may use it as well.
    pub fn is_shared(&self) -> bool {
        self.dialect() != Dialect::Sqlite
    }

    /// Connections of the pool (of SQLite's readers): those in use, and those that are idle.
    pub fn connections(&self) -> (i64, i64) {
        let (size, idle) = match &self.db {
            Db::Sqlite { readers, .. } => (readers.size(), readers.num_idle()),
            Db::MySql(pool, _) => (pool.size(), pool.num_idle()),
            Db::Postgres(pg) => pg.connections(),
        };
        let (size, idle) = (i64::from(size), i64::try_from(idle).unwrap_or(i64::MAX));
        ((size - idle).max(0), idle)
    }

    /// Ends all connections.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Db::MySql(pool, _) => pool.close().await,
            Db::Postgres(pg) => pg.pool.close().await,
        }
    }

    /// How far the clock is moved, for [`Dialect::now_ms`].
    pub(crate) fn offset_ms(&self) -> i64 {
        self.clock.offset_ms()
    }
}
