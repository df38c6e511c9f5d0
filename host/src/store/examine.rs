//! What a check-up asks of a database: nothing is changed.

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;

use super::{Dialect, Result, Store, with_pool};

/// Round trips that are timed; their median is told.
const ROUND_TRIPS: usize = 9;

/// The step since which a schema says which programs work on it, and hosts which schema they know. Nothing was released before.
pub(super) const PROGRAMS_SINCE: i64 = 29;

/// What a database says of itself.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Which software.
    pub product: &'static str,
    /// Its version, as it writes it.
    pub version: String,
    /// The median of several round trips, in microseconds.
    pub latency_us: u64,
    /// By how much its clock is ahead of this host's, in milliseconds; about as exact as a round trip.
    pub ahead_ms: i64,
    /// Connections that the server takes from all its clients; none: it does not count them.
    pub connections_max: Option<i64>,
    /// Its schema beside this program's.
    pub schema: Schema,
}

/// A schema, by the numbers of its migrations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The newest that was applied; none: there is no schema yet.
    pub applied: Option<i64>,
    /// The newest of this program.
    pub known: i64,
    /// Applied half-way, or other than in this program.
    pub broken: Vec<i64>,
    /// Those of this program that are still to be applied.
    pub pending: Vec<i64>,
    /// The oldest program that works on it, by the newest step that it knows; none: nobody said.
    pub oldest_program: Option<i64>,
}

impl Schema {
    /// Whether this program works on it, though a newer one brought it further.
    pub(crate) fn allows_this_program(&self) -> bool {
        self.oldest_program.is_some_and(|oldest| oldest <= self.known)
    }
}

impl Store {
    /// Where `SQLite` keeps its file; none for other databases, and for what is no URL.
    pub fn sqlite_path(url: &str) -> Option<PathBuf> {
        let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok()).flatten()?;
        Some(options.get_filename().to_owned())
    }

    /// Asks it.
    pub async fn examine(&self) -> Result<Examined> {
        let mut trips = Vec::with_capacity(ROUND_TRIPS);
        let mut ahead_ms = 0;
        let sql = format!("select {}", self.dialect().now_ms(self.offset_ms()));
        for _ in 0..ROUND_TRIPS {
            let (began_us, asked_ms) = (self.clock.monotonic_us(), self.clock.now_ms());
            let now: i64 =
                with_pool!(self, |pool| sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone())).fetch_one(pool).await)?;
            trips.push(self.clock.monotonic_us() - began_us);
            ahead_ms = now - i64::midpoint(asked_ms, self.clock.now_ms());
        }
        trips.sort_unstable();
        let version = match self.dialect() {
            Dialect::Sqlite => "select sqlite_version()",
            Dialect::MySql => "select version()",
            Dialect::Postgres => "select current_setting('server_version')",
        };
        let version: String = with_pool!(self, |pool| sqlx::query_scalar(version).fetch_one(pool).await)?;
        let product = match self.dialect() {
            Dialect::Sqlite => "SQLite",
            Dialect::MySql if version.contains("MariaDB") => "MariaDB",
            Dialect::MySql => "MySQL",
            Dialect::Postgres => "PostgreSQL",
        };
        let connections = match self.dialect() {
            Dialect::Sqlite => None,
            Dialect::MySql => Some("select cast(@@max_connections as signed)"),
            Dialect::Postgres => Some("select cast(current_setting('max_connections') as bigint)"),
        };
        let connections_max = match connections {
            Some(sql) => Some(with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_one(pool).await)?),
            None => None,
        };
        let latency_us = trips[ROUND_TRIPS / 2];
        Ok(Examined { product, version, latency_us, ahead_ms, connections_max, schema: self.schema().await? })
    }

    pub(super) async fn schema(&self) -> Result<Schema> {
        let is_there = match self.dialect() {
            Dialect::Sqlite => "select count(*) from sqlite_master where name = '_sqlx_migrations'",
            Dialect::MySql => {
                "select count(*) from information_schema.tables where table_schema = database() and table_name = '_sqlx_migrations'"
            }
            Dialect::Postgres => {
                "select count(*) from pg_tables where tablename = '_sqlx_migrations' and schemaname = any (current_schemas(false))"
            }
        };
        let is_there: i64 = with_pool!(self, |pool| sqlx::query_scalar(is_there).fetch_one(pool).await)?;
        let mut applied: Vec<(i64, Vec<u8>, bool)> = Vec::new();
        if is_there > 0 {
            let sql = "select version, checksum, success from _sqlx_migrations order by version";
            applied = with_pool!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
        }
        let mut schema = compare(&self.migrator(), &applied);
        if schema.applied.is_some_and(|applied| applied >= PROGRAMS_SINCE) {
            let sql = "select oldest from schema_programs where id = 1";
            schema.oldest_program = with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_optional(pool).await)?;
        }
        Ok(schema)
    }
}

fn compare(migrator: &Migrator, applied: &[(i64, Vec<u8>, bool)]) -> Schema {
    let mut schema = Schema { applied: applied.last().map(|(version, ..)| *version), ..Schema::default() };
    for known in migrator.iter() {
        schema.known = schema.known.max(known.version);
        match applied.iter().find(|(version, ..)| *version == known.version) {
            None => schema.pending.push(known.version),
            Some((_, checksum, success)) if !success || checksum != &*known.checksum => {
                schema.broken.push(known.version);
            }
            Some(_) => {}
        }
    }
    schema
}
