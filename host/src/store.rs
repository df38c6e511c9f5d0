//! The database, whichever it is. All SQL of the host is in this module.
//!
//! Rules that keep one text for three databases: every integer is BIGINT, time is unix milliseconds, status is text
//! with a check, JSON is text, columns are always listed, a parameter stands once and in order (`$1` becomes `?` for
//! `MySQL`), what is inserted travels as values (`insert`), and what else is done to many rows as one JSON parameter that
//! `Dialect::rows` turns into a table.

mod conditions;
mod dialect;
mod insert;
pub(crate) mod once;
pub(crate) mod orders;
pub(crate) mod products;
mod tx;
pub(crate) mod users;
mod wake;
mod writer;

pub mod notifications;
pub mod plugins;
pub mod queue;
pub(crate) mod stored;

use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Executor, MySqlPool, PgPool, SqlitePool};

pub(crate) use dialect::Dialect;
pub(crate) use tx::{Tx, with_tx};

use crate::clock::Clock;

/// The most prepared statements that a connection keeps: every text of ours, inserts in each of their sizes.
const STATEMENTS_MAX: usize = 250;

/// How many rows of `SQLite` wait to be read.
const ROWS_BUFFERED_MAX: usize = 1_000;

/// How long a connection may have been idle and is still used without asking the database whether it is there.
const TRUSTED_IDLE_MAX: Duration = Duration::from_secs(1);

/// Runs `$body` with `$pool` bound to the pool that is open; for reads outside a transaction.
macro_rules! with_pool {
    ($store:expr, |$pool:ident| $body:expr) => {
        match &$store.db {
            $crate::store::Db::Sqlite { readers: $pool, .. } => $body,
            $crate::store::Db::MySql($pool, _) => $body,
            $crate::store::Db::Postgres($pool) => $body,
        }
    };
}
pub(crate) use with_pool;

/// An open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Clock,
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
    Postgres(PgPool),
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
    /// The database did not do it.
    #[error("database: {0}")]
    Driver(#[from] sqlx::Error),
    /// The schema is not what this host expects.
    #[error("migrations: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A commit that others shared failed, or its writer is gone.
    #[error("commit: {0}")]
    Commit(String),
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

impl Error {
    /// Whether a unique key refused the row.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Driver(sqlx::Error::Database(e)) => e.is_unique_violation(),
            Self::Shared(e) => e.is_taken(),
            _ => false,
        }
    }

    /// Whether the same transaction, tried again, may succeed: a deadlock's victim or a lost serialisation.
    pub fn is_transient(&self) -> bool {
        let e = match self {
            Self::Driver(sqlx::Error::Database(e)) => e,
            Self::Shared(e) => return e.is_transient(),
            _ => return false,
        };
        match e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
            Some(e) => matches!(e.number(), 1205 | 1213),
            None => matches!(e.code().as_deref(), Some("40001" | "40P01")),
        }
    }
}

impl Error {
    /// Whether it is about what was asked: the database answered, and something else may well succeed.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Driver(e) => matches!(e, sqlx::Error::Database(_) | sqlx::Error::ColumnDecode { .. }),
            Self::OutOfStock | Self::Corrupt { .. } => true,
            Self::Shared(e) => e.is_refusal(),
            Self::Url | Self::InMemory | Self::Migrate(_) | Self::Commit(_) => false,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:path`, `mysql://…`, `mariadb://…` or `postgres://…`.
    pub url: secrecy::SecretString,
    /// The most connections (readers, for `SQLite`).
    pub connections_max: u32,
    /// How long to wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
}

/// The same for each pool.
fn pool_options<DB: sqlx::Database>(options: &Options) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(Duration::from_millis(options.connect_timeout_ms))
        // It would cost each transaction a round trip. What was in use a moment ago was alive.
        .test_before_acquire(false)
        .before_acquire(|connection: &mut DB::Connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= TRUSTED_IDLE_MAX {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

impl Store {
    /// Connects.
    pub async fn open(options: &Options, clock: Clock) -> Result<Self> {
        use secrecy::ExposeSecret;
        let url = options.url.expose_secret();
        let db = if url.starts_with("sqlite:") {
            Self::open_sqlite(url, options).await?
        } else if url.starts_with("mysql:") || url.starts_with("mariadb:") {
            let pool = pool_options(options).after_connect(|connection: &mut MySqlConnection, _| {
                Box::pin(async move {
                    // Gap locks of REPEATABLE READ would stop enqueues below a claim's range.
                    connection.execute("set session transaction isolation level read committed").await?;
                    Ok(())
                })
            });
            let options = MySqlConnectOptions::from_str(url)?.statement_cache_capacity(STATEMENTS_MAX);
            let pool = pool.connect_with(options).await?;
            let step = sqlx::query_scalar("select cast(@@auto_increment_increment as signed)").fetch_one(&pool).await?;
            Db::MySql(pool, step)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let pool = pool_options(options);
            // Every statement of ours goes by a key. Without statistics, as on a young or a churning table, the
            // planner reads whole tables instead.
            let keys_only = [("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")];
            // One way by key is as good for each value: planned once for each connection, not for each execution.
            let once = [("plan_cache_mode", "force_generic_plan"), ("jit", "off")];
            let options = PgConnectOptions::from_str(url)?.options(keys_only).options(once);
            let options = options.statement_cache_capacity(STATEMENTS_MAX);
            Db::Postgres(pool.connect_with(options).await?)
        } else {
            return Err(Error::Url);
        };
        Ok(Self { db, clock })
    }

    async fn open_sqlite(url: &str, options: &Options) -> Result<Db> {
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(Error::InMemory);
        }
        let connect = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(options.connect_timeout_ms))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .statement_cache_capacity(STATEMENTS_MAX)
            .pragma("cache_size", "-16384")
            // 16 MiB of log between checkpoints: what is written again and again goes to the database once.
            .pragma("wal_autocheckpoint", "4096")
            // A result that fits goes over to whoever reads it at once, not in turns of a few rows.
            .row_buffer_size(ROWS_BUFFERED_MAX)
            // The journal of the turns' savepoints is read by nobody after a crash.
            .pragma("temp_store", "memory");
        let writer = writer::Writer::open(&connect, queue::SCRATCH).await?;
        let readers = pool_options(options).connect_with(connect.read_only(true)).await?;
        Ok(Db::Sqlite { readers, writer })
    }

    /// Brings the schema up to date. Safe to call from many hosts at once.
    pub async fn migrate(&self) -> Result<()> {
        match &self.db {
            Db::Sqlite { writer, .. } => writer.migrate(&sqlx::migrate!("../migrations/sqlite")).await?,
            Db::MySql(pool, _) => sqlx::migrate!("../migrations/mysql").run(pool).await?,
            Db::Postgres(pool) => sqlx::migrate!("../migrations/postgres").run(pool).await?,
        }
        Ok(())
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        with_pool!(self, |pool| sqlx::query("select 1").execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Starts a transaction. Dropped without [`Tx::commit`], it never was.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(match &self.db {
            Db::Sqlite { writer, .. } => Tx::Sqlite(writer.begin().await?),
            Db::MySql(pool, step) => Tx::MySql(pool.begin().await?, *step),
            Db::Postgres(pool) => Tx::Postgres(pool.begin().await?),
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

    /// Ends all connections.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Db::MySql(pool, _) => pool.close().await,
            Db::Postgres(pool) => pool.close().await,
        }
    }

    /// How far the clock is moved, for [`Dialect::now_ms`].
    pub(crate) fn offset_ms(&self) -> i64 {
        self.clock.offset_ms()
    }
}
