//! A fresh database for each run.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions};

/// What one of the peers uses where it is not told; the others need fewer.
const CONNECTIONS: u32 = 20;

pub(crate) struct Database {
    pub(crate) pool: PgPool,
    server: PgConnectOptions,
    name: String,
}

impl Database {
    pub(crate) async fn fresh(url: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = PgConnectOptions::from_str(url).expect("a database URL");
        let name = format!("peers_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        statement(&server, format!("create database {name}")).await;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
        let pool = pool.connect_with(server.clone().database(&name)).await.expect("the database answers");
        Self { pool, server, name }
    }

    /// Its address, where `server` is the one that it is on.
    pub(crate) fn url(&self, server: &str) -> String {
        let (server, options) = server.split_once('?').unwrap_or((server, ""));
        let (server, _) = server.rsplit_once('/').expect("a database URL");
        format!("{server}/{}?{options}", self.name)
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("a count")
    }

    /// So that no run pays for the statistics and the hint bits of what was filled in before it.
    pub(crate) async fn settle(&self) {
        sqlx::query("vacuum analyze").execute(&self.pool).await.expect("vacuumed");
    }

    /// The processor time that its server has used, if that is on this machine.
    pub(crate) async fn processor(&self) -> Duration {
        let session: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&self.pool).await.expect("a number");
        crate::processor_of_server(session.cast_unsigned())
    }

    pub(crate) async fn remove(self) {
        self.pool.close().await;
        statement(&self.server, format!("drop database {} with (force)", self.name)).await;
    }
}

async fn statement(server: &PgConnectOptions, text: String) {
    let mut connection = server.connect().await.expect("the server answers");
    sqlx::query(AssertSqlSafe(text)).execute(&mut connection).await.expect("the server does it");
}
