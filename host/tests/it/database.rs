//! A fresh database for each test, on every server that the environment names.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor as _, MySqlConnection, PgConnection, SqliteConnection};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    MariaDb,
    MySql,
    Postgres,
    /// `PostgreSQL` behind `PgBouncer`, which gives each transaction another connection.
    PgBouncer,
    /// The same, and it gives each session another connection: nothing but the URL is special.
    SessionPool,
}

/// `PostgreSQL` itself: where poolers have their databases.
const POSTGRES: &str = "ECOMM_TEST_POSTGRES_URL";

impl Kind {
    pub const ALL: [Self; 5] = [Self::Sqlite, Self::MariaDb, Self::MySql, Self::Postgres, Self::PgBouncer];
    pub const POOLERS: [Self; 2] = [Self::PgBouncer, Self::SessionPool];
    pub const SERVERS: [Self; 2] = [Self::Postgres, Self::MariaDb];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
            Self::Postgres => "postgres",
            Self::PgBouncer => "pgbouncer",
            Self::SessionPool => "session_pool",
        }
    }

    fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[],
            Self::MariaDb => &["ECOMM_TEST_MARIADB_URL"],
            Self::MySql => &["ECOMM_TEST_MYSQL_URL"],
            Self::Postgres => &[POSTGRES],
            Self::PgBouncer => &[POSTGRES, "ECOMM_TEST_PGBOUNCER_URL"],
            Self::SessionPool => &[POSTGRES, "ECOMM_TEST_PGBOUNCER_SESSION_URL"],
        }
    }

    /// Why there is none.
    pub fn is_missing(self) -> Option<String> {
        let missing = self.variables().iter().find(|v| std::env::var(v).is_err())?;
        Some(format!("{missing} is not set, and ECOMM_TEST_ALL asks for every database"))
    }

    /// Whether a missing one is a failure. `MySQL` proper cannot be had everywhere; `MariaDB` stands for it.
    pub fn is_asked_for(self) -> bool {
        self != Self::MySql && std::env::var("ECOMM_TEST_ALL").is_ok()
    }

    pub fn speaks_postgres(self) -> bool {
        matches!(self, Self::Postgres | Self::PgBouncer | Self::SessionPool)
    }
}

/// Says which databases are not there.
pub fn left_out() -> Option<String> {
    let missing = Kind::ALL.into_iter().filter(|kind| kind.is_missing().is_some());
    let missing = missing.map(|kind| format!("{} ({} is not set)", kind.name(), kind.variables().join(" or ")));
    Some(missing.collect::<Vec<_>>().join(", ")).filter(|missing| !missing.is_empty())
}

/// Gone when its test is.
pub struct Database {
    pub kind: Kind,
    /// For the host.
    pub url: String,
    pub folder: tempfile::TempDir,
    /// Past a pooler.
    pub direct: String,
}

impl Database {
    /// An empty one.
    pub async fn fresh(kind: Kind) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        let Some(variable) = kind.variables().first() else {
            let url = format!("sqlite:{}", folder.path().join("test.db").display());
            return Self { kind, direct: url.clone(), url, folder };
        };
        let server = std::env::var(variable).unwrap();
        let name = format!("ecomm_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let create = format!("create database {name}");
        if kind.speaks_postgres() {
            let mut server = PgConnection::connect(&server).await.unwrap();
            sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut server).await.unwrap();
        } else {
            let mut server = MySqlConnection::connect(&server).await.unwrap();
            sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut server).await.unwrap();
        }
        let on = |server: &str| {
            let (server, options) = server.split_once('?').unwrap_or((server, ""));
            format!("{}/{name}?{options}", server.rsplit_once('/').unwrap().0)
        };
        let through = kind.variables().last().map(|v| std::env::var(v).unwrap()).unwrap_or_default();
        Self { kind, url: on(&through), folder, direct: on(&server) }
    }

    /// What a host needs to be told of it, beside the URL.
    pub fn settings(&self) -> &'static [(&'static str, &'static str)] {
        match self.kind {
            Kind::PgBouncer => &[("DATABASE__PREPARED_STATEMENTS", "false"), ("DATABASE__LISTEN", "false")],
            _ => &[],
        }
    }

    /// The one number that a query answers.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = of_a_test(sql);
        match self.kind {
            Kind::Sqlite => {
                sqlx::query_scalar(sql).fetch_one(&mut SqliteConnection::connect(&self.direct).await.unwrap()).await
            }
            kind if kind.speaks_postgres() => {
                sqlx::query_scalar(sql).fetch_one(&mut PgConnection::connect(&self.direct).await.unwrap()).await
            }
            _ => sqlx::query_scalar(sql).fetch_one(&mut MySqlConnection::connect(&self.direct).await.unwrap()).await,
        }
        .unwrap()
    }

    /// Does what no verb of the host does.
    pub async fn execute(&self, sql: &str) {
        let sql = of_a_test(sql);
        match self.kind {
            Kind::Sqlite => {
                sqlx::query(sql).execute(&mut SqliteConnection::connect(&self.direct).await.unwrap()).await.map(drop)
            }
            kind if kind.speaks_postgres() => {
                sqlx::query(sql).execute(&mut PgConnection::connect(&self.direct).await.unwrap()).await.map(drop)
            }
            _ => sqlx::query(sql).execute(&mut MySqlConnection::connect(&self.direct).await.unwrap()).await.map(drop),
        }
        .unwrap();
    }

    /// Does it on a server in a transaction that stays open.
    pub async fn hold(&self, sql: &str) -> Held {
        let sql = of_a_test(sql);
        if self.kind.speaks_postgres() {
            let mut connection = PgConnection::connect(&self.direct).await.unwrap();
            connection.execute("begin").await.unwrap();
            sqlx::query(sql).execute(&mut connection).await.unwrap();
            return Held::Postgres(connection);
        }
        let mut connection = MySqlConnection::connect(&self.direct).await.unwrap();
        connection.execute("begin").await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        Held::MySql(connection)
    }

    /// The texts that a query answers, one a row.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = of_a_test(sql);
        match self.kind {
            Kind::Sqlite => {
                sqlx::query_scalar(sql).fetch_all(&mut SqliteConnection::connect(&self.direct).await.unwrap()).await
            }
            kind if kind.speaks_postgres() => {
                sqlx::query_scalar(sql).fetch_all(&mut PgConnection::connect(&self.direct).await.unwrap()).await
            }
            _ => sqlx::query_scalar(sql).fetch_all(&mut MySqlConnection::connect(&self.direct).await.unwrap()).await,
        }
        .unwrap()
    }
}

/// An open transaction, which keeps what it has locked.
pub enum Held {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Held {
    /// Undoes it; by then nothing is locked any more.
    pub async fn release(self) {
        match self {
            Self::Postgres(mut connection) => connection.execute("rollback").await.map(drop),
            Self::MySql(mut connection) => connection.execute("rollback").await.map(drop),
        }
        .unwrap();
    }
}

/// A statement of a test, whose text may hold what no log of a host may.
fn of_a_test(sql: &str) -> sqlx::AssertSqlSafe<String> {
    crate::logs::expect(sql);
    sqlx::AssertSqlSafe(sql.to_owned())
}
