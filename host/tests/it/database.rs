//! A fresh database for each test, on every server that the environment names.

use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, MySqlConnection, PgConnection, SqliteConnection};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    MariaDb,
    MySql,
    Postgres,
}

impl Kind {
    fn variable(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MariaDb => "ECOMM_TEST_MARIADB_URL",
            Self::MySql => "ECOMM_TEST_MYSQL_URL",
            Self::Postgres => "ECOMM_TEST_POSTGRES_URL",
        }
    }
}

/// Gone when its test is.
pub struct Database {
    pub kind: Kind,
    pub url: String,
    pub folder: tempfile::TempDir,
}

impl Database {
    /// None, said out loud once, where no server is named. With `ECOMM_TEST_ALL` that is a failure.
    pub async fn fresh(kind: Kind) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        if kind == Kind::Sqlite {
            let url = format!("sqlite:{}", folder.path().join("test.db").display());
            return Some(Self { kind, url, folder });
        }
        let Ok(server) = std::env::var(kind.variable()) else {
            left_out();
            // MySQL proper cannot be had everywhere; MariaDB stands for it.
            assert!(
                kind == Kind::MySql || std::env::var("ECOMM_TEST_ALL").is_err(),
                "{} is not set, and ECOMM_TEST_ALL asks for every database",
                kind.variable()
            );
            return None;
        };
        let name = format!("ecomm_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let create = format!("create database {name}");
        if kind == Kind::Postgres {
            let mut server = PgConnection::connect(&server).await.unwrap();
            sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut server).await.unwrap();
        } else {
            let mut server = MySqlConnection::connect(&server).await.unwrap();
            sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut server).await.unwrap();
        }
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        Some(Self { kind, url, folder })
    }

    /// The one number that a query answers.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self.kind {
            Kind::Sqlite => {
                sqlx::query_scalar(sql).fetch_one(&mut SqliteConnection::connect(&self.url).await.unwrap()).await
            }
            Kind::Postgres => {
                sqlx::query_scalar(sql).fetch_one(&mut PgConnection::connect(&self.url).await.unwrap()).await
            }
            _ => sqlx::query_scalar(sql).fetch_one(&mut MySqlConnection::connect(&self.url).await.unwrap()).await,
        }
        .unwrap()
    }

    /// Does what no verb of the host does.
    pub async fn execute(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self.kind {
            Kind::Sqlite => {
                sqlx::query(sql).execute(&mut SqliteConnection::connect(&self.url).await.unwrap()).await.map(drop)
            }
            Kind::Postgres => {
                sqlx::query(sql).execute(&mut PgConnection::connect(&self.url).await.unwrap()).await.map(drop)
            }
            _ => sqlx::query(sql).execute(&mut MySqlConnection::connect(&self.url).await.unwrap()).await.map(drop),
        }
        .unwrap();
    }

    /// The texts that a query answers, one a row.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self.kind {
            Kind::Sqlite => {
                sqlx::query_scalar(sql).fetch_all(&mut SqliteConnection::connect(&self.url).await.unwrap()).await
            }
            Kind::Postgres => {
                sqlx::query_scalar(sql).fetch_all(&mut PgConnection::connect(&self.url).await.unwrap()).await
            }
            _ => sqlx::query_scalar(sql).fetch_all(&mut MySqlConnection::connect(&self.url).await.unwrap()).await,
        }
        .unwrap()
    }
}

/// Past the test runner's capture, so that it is seen.
fn left_out() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let missing: Vec<_> = [Kind::MariaDb, Kind::MySql, Kind::Postgres]
            .into_iter()
            .filter(|kind| std::env::var(kind.variable()).is_err())
            .map(|kind| format!("{kind:?} ({} is not set)", kind.variable()))
            .collect();
        let _ = writeln!(std::io::stderr(), "\nleft out: {}\n", missing.join(", "));
    });
}

/// Runs each test on every database.
macro_rules! on_each_database {
    ($($name:ident)*) => {
        $(mod $name {
            $crate::database::on_each_database!(@ $name sqlite Sqlite);
            $crate::database::on_each_database!(@ $name mariadb MariaDb);
            $crate::database::on_each_database!(@ $name mysql MySql);
            $crate::database::on_each_database!(@ $name postgres Postgres);
        })*
    };
    (@ $name:ident $test:ident $kind:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            if let Some(database) = $crate::database::Database::fresh($crate::database::Kind::$kind).await {
                super::$name(database).await;
            }
        }
    };
}
pub(crate) use on_each_database;
