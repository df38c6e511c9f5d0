//! How `PostgreSQL` is spoken to: directly, or through a pooler (`PgBouncer`, RDS Proxy, Supavisor, Neon's). A pooler
//! takes no options at the start of a connection, and one that pools transactions gives each transaction another
//! connection: whatever a statement needs is said within its own transaction.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Acquire, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlSafeStr, SqlStr};

use super::Result;

/// What changes anything finds its rows by a key. Without statistics, as on a young or a churning table, the planner
/// would read whole tables instead; and one way by key is as good for each value, so it is planned once for each
/// connection, not for each execution. In one round trip with `begin`. Reads are planned as the server is set up.
///
/// A host that is stopped, or that the network has cut off, half-way through a transaction keeps the locks of others' lanes, and
/// with them the groups that they are in, for so many milliseconds at the most: far less than a lease.
const BEGIN: &str = "begin; set local enable_seqscan = off; set local enable_hashjoin = off; \
    set local enable_mergejoin = off; set local plan_cache_mode = force_generic_plan; set local jit = off; \
    set local idle_in_transaction_session_timeout = 5000";

/// Of all hosts that bring the same database up to date; "ecomm" in ASCII.
const MIGRATION_LOCK: i64 = 0x65_63_6f_6d_6d;

/// The pool, and how its connections may be used. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pg {
    pub(super) pool: PgPool,
    /// Statements are prepared once for each connection. False: each is prepared for one execution, within a
    /// transaction, because nothing holds a pooler's connection in between.
    pub(super) prepares: bool,
}

/// A connection or a transaction, on which statements are run.
#[derive(Debug)]
pub(crate) struct Session {
    held: Held,
    prepares: bool,
}

#[derive(Debug)]
enum Held {
    Connection(PoolConnection<Postgres>),
    Transaction(Open),
}

/// A transaction, rolled back when dropped. The driver's own gives a connection back to the pool with its transaction begun
/// where the statements that begin it fail half-way, or are not awaited to their end: whoever has it next can do nothing.
#[derive(Debug)]
struct Open(Option<PoolConnection<Postgres>>);

impl Open {
    async fn begin(connection: PoolConnection<Postgres>, statements: SqlStr) -> sqlx::Result<Self> {
        let mut begun = Self(Some(connection));
        begun.connection().execute(statements).await?;
        Ok(begun)
    }

    fn connection(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("held until it is committed")
    }

    async fn commit(mut self) -> sqlx::Result<()> {
        self.connection().execute("commit").await?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return connection.close_on_drop() };
        runtime.spawn(async move {
            if connection.execute("rollback").await.is_err() {
                connection.close_on_drop();
            }
        });
    }
}

impl Pg {
    /// All of the pool's, and those that are idle.
    pub(super) fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// For one read.
    pub(super) async fn read(&self) -> sqlx::Result<Session> {
        let held = if self.prepares {
            Held::Connection(self.pool.acquire().await?)
        } else {
            Held::Transaction(Open::begin(self.pool.acquire().await?, SqlStr::from_static("begin")).await?)
        };
        Ok(Session { held, prepares: self.prepares })
    }

    /// A transaction that changes something.
    pub(super) async fn begin(&self) -> sqlx::Result<Session> {
        self.begin_with("").await
    }

    /// The same, whose first statement goes along with its beginning.
    pub(super) async fn begin_with(&self, first: &str) -> sqlx::Result<Session> {
        let begin = sqlx::AssertSqlSafe(format!("{BEGIN}; {first}")).into_sql_str();
        let held = Held::Transaction(Open::begin(self.pool.acquire().await?, begin).await?);
        Ok(Session { held, prepares: self.prepares })
    }

    /// Brings the schema up to date, in one transaction, one host at a time. The migrator prepares statements: they
    /// are taken from the connection before and after, since another client of a pooler may have it next.
    pub(super) async fn migrate(&self, migrator: Migrator) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin().await?;
        tx.execute("deallocate all").await?;
        let lock = format!("select pg_advisory_xact_lock({MIGRATION_LOCK})");
        tx.execute(sqlx::AssertSqlSafe(lock)).await?;
        let migrator = Migrator { locking: false, ..migrator };
        migrator.run_direct(None, &mut *tx, false).await?;
        tx.execute("deallocate all").await?;
        tx.commit().await?;
        // It would take statements for prepared that are gone.
        connection.close().await?;
        Ok(())
    }
}

impl Session {
    /// Ends what [`Pg::begin`] began.
    pub(super) async fn commit(self) -> sqlx::Result<()> {
        match self.held {
            Held::Connection(_) => Ok(()),
            Held::Transaction(tx) => tx.commit().await,
        }
    }

    fn connection(&mut self) -> &mut PgConnection {
        match &mut self.held {
            Held::Connection(connection) => connection,
            Held::Transaction(tx) => tx.connection(),
        }
    }
}

/// A query, prepared for one execution only when its session says so.
struct Prepared<E> {
    query: E,
    once: bool,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Prepared<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> std::result::Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        !self.once && self.query.persistent()
    }
}

impl<'c> Executor<'c> for &'c mut Session {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Prepared { query, once: !self.prepares };
        self.connection().fetch_many(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Prepared { query, once: !self.prepares };
        self.connection().fetch_optional(query)
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        self.connection().prepare_with(sql, parameters)
    }
}
