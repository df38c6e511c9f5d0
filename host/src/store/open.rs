//! Opening the database, which may not be there yet.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::time::{sleep, timeout};

use super::nodelay::send_at_once;
use super::postgres::Pg;
use super::{Db, Error, Result, Store, queue, sqlite_code, writer};
use crate::clock::Clock;

/// The most prepared statements that a connection keeps: every text of ours, inserts in each of their sizes.
const STATEMENTS_MAX: usize = 250;

/// A page of `SQLite`, unless a file was made with others.
const PAGE_BYTES: u64 = 4_096;

/// How many rows of `SQLite` wait to be read.
const ROWS_BUFFERED_MAX: usize = 1_000;

/// How long a connection may have been idle and is still used without asking the database whether it is there.
const TRUSTED_IDLE_MAX: Duration = Duration::from_secs(1);

/// The largest number of a run: with an epoch it is still a BIGINT.
const HOLDER_MAX: i64 = i64::MAX >> 2;

/// The pause after the first attempt to reach a database, doubled after each more.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:path`, `mysql://…`, `mariadb://…` or `postgres://…`.
    pub url: secrecy::SecretString,
    /// The most connections (readers, for `SQLite`).
    pub connections_max: u32,
    /// The most that an `SQLite` file may take; 0: no limit.
    pub bytes_max: u64,
    /// How long to wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// For how long an attempt to reach the database is followed by another, in milliseconds.
    pub wait_ms: u64,
    /// Whether statements may be prepared once for each connection: not behind a pooler of transactions. For
    /// `PostgreSQL`.
    pub prepared_statements: bool,
}

impl Store {
    /// Connects.
    pub async fn open(options: &Options, clock: Clock) -> Result<Self> {
        use secrecy::ExposeSecret;
        let url = options.url.expose_secret();
        let db = if url.starts_with("sqlite:") {
            open_sqlite(url, options).await?
        } else if url.starts_with("mysql:") || url.starts_with("mariadb:") {
            open_mysql(url, options, &clock).await?
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            open_postgres(url, options, &clock).await?
        } else {
            return Err(Error::Url);
        };
        let holder = (i64::from_le_bytes(clock.random()) & HOLDER_MAX).max(1);
        let watermark = queue::Watermark::new(clock.clone()).into();
        Ok(Self { db, clock, unheard_until_ms: std::sync::Arc::default(), holder, watermark })
    }
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

async fn open_mysql(url: &str, options: &Options, clock: &Clock) -> Result<Db> {
    let connect = MySqlConnectOptions::from_str(url)?.statement_cache_capacity(STATEMENTS_MAX);
    let address = connect.get_socket().map_or_else(
        || format!("{}:{}", connect.get_host(), connect.get_port()),
        |socket| socket.display().to_string(),
    );
    reach(&address, options, clock, || connect.connect()).await?;
    let port = connect.get_port();
    let pool = pool_options(options).after_connect(move |connection: &mut MySqlConnection, _| {
        Box::pin(async move {
            send_at_once(port);
            // Gap locks of REPEATABLE READ would stop enqueues below a claim's range.
            connection.execute("set session transaction isolation level read committed").await?;
            // As for `PostgreSQL`, in seconds; `MySQL` has nothing like it, and reads a comment.
            connection.execute("set @ecomm = 1 /*M!100300 , session idle_transaction_timeout = 5 */").await?;
            Ok(())
        })
    });
    let pool = pool.connect_with(connect).await?;
    let step = sqlx::query_scalar("select cast(@@auto_increment_increment as signed)").fetch_one(&pool).await?;
    Ok(Db::MySql(pool, step))
}

async fn open_postgres(url: &str, options: &Options, clock: &Clock) -> Result<Db> {
    let connect = PgConnectOptions::from_str(url)?
        // Poolers know few parameters of a connection's start, and not this one.
        .extra_float_digits(None)
        .statement_cache_capacity(STATEMENTS_MAX);
    let address = connect.get_socket().map_or_else(
        || format!("{}:{}", connect.get_host(), connect.get_port()),
        |socket| socket.display().to_string(),
    );
    reach(&address, options, clock, || connect.connect()).await?;
    let port = connect.get_port();
    let pool = pool_options(options).after_connect(move |_, _| {
        send_at_once(port);
        Box::pin(async { Ok(()) })
    });
    let pool = pool.connect_with(connect).await?;
    Ok(Db::Postgres(Pg { pool, prepares: options.prepared_statements }))
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
        // A result that fits is handed to its reader at once, not in turns of a few rows.
        .row_buffer_size(ROWS_BUFFERED_MAX)
        // The journal of the turns' savepoints is read by nobody after a crash.
        .pragma("temp_store", "memory");
    let connect = match options.bytes_max {
        0 => connect,
        most => connect.pragma("max_page_count", (most / PAGE_BYTES).max(1).to_string()),
    };
    let writer = writer::Writer::open(&connect, queue::SCRATCH).await?;
    let readers = pool_options(options).connect_with(connect.read_only(true)).await?;
    Ok(Db::Sqlite { readers, writer })
}

/// Tries to connect until it works or the wait is over. A pool would only say that it has no connection, not why.
async fn reach<C, F>(address: &str, options: &Options, clock: &Clock, mut connect: impl FnMut() -> F) -> Result<()>
where
    C: Connection,
    F: Future<Output = sqlx::Result<C>>,
{
    let patience = Duration::from_millis(options.connect_timeout_ms);
    let until_ms = clock.monotonic_ms().saturating_add_unsigned(options.wait_ms);
    let mut pause = PAUSE_MIN;
    loop {
        let why = match timeout(patience, connect()).await {
            Ok(Ok(connection)) => return Ok(connection.close().await?),
            Ok(Err(e)) if !is_absence(&e) => return Err(e.into()),
            Ok(Err(sqlx::Error::Io(e))) => e.to_string(),
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("no answer within {} ms", options.connect_timeout_ms),
        };
        if clock.monotonic_ms() >= until_ms {
            return Err(Error::Unreachable { address: address.to_owned(), why });
        }
        tracing::warn!(database.address = address, error = why, "the database cannot be reached yet; trying again");
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether a connection could not be had, or was lost with whatever was under way on it: what was asked says nothing wrong.
pub(super) fn is_cut(e: &sqlx::Error) -> bool {
    match e {
        _ if is_absence(e) => true,
        sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(e) => {
            if let Some(e) = e.try_downcast_ref::<MySqlDatabaseError>() {
                CUT_MYSQL.contains(&e.number())
            } else if let Some(code) = sqlite_code(&**e) {
                // Another process writes all the time.
                matches!(code, 5 | 6)
            } else {
                e.code().is_some_and(|code| code.starts_with("08") || CUT_POSTGRES.contains(&&*code))
            }
        }
        _ => false,
    }
}

/// What `MySQL` and `MariaDB` say to connections that they do not serve, or end: too many of them (1040, 1203), a shutdown (1053), an
/// operator or a limit that ended the connection or the statement (1317, 1927, 1969, 3024, 3169, 4031), or a network that did
/// (1152, 1158 to 1161, 1184).
const CUT_MYSQL: [u16; 15] = [1040, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1317, 1927, 1969, 3024, 3169, 4031];

/// The same of `PostgreSQL`, beside its class 08 and a server that is not there: too many connections, a transaction that idled, a
/// statement that was cancelled, and a session that idled.
const CUT_POSTGRES: [&str; 4] = ["53300", "25P03", "57014", "57P05"];

/// Whether the database is not there, or not yet: `admin_shutdown`, `crash_shutdown` and `cannot_connect_now` of
/// `PostgreSQL`, which stops or starts.
pub(super) fn is_absence(e: &sqlx::Error) -> bool {
    match e {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(e) => matches!(e.code().as_deref(), Some("57P01" | "57P02" | "57P03")),
        _ => false,
    }
}
