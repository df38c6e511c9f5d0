//! The schema's steps, and who may work on it: a release beside the one before it, and no further apart.
//!
//! Steps add what a release needs, and take away only what the release before it no longer uses (expand and contract).

use super::examine::PROGRAMS_SINCE;
use super::{Db, Error, Result, Schema, Store, steps};

/// The oldest program, by its schema's number, that works on this program's schema. A step that takes something away
/// raises it, and the table `schema_programs` with it.
const OLDEST_PROGRAM: i64 = 28;

impl Store {
    /// Brings the schema up to date. Safe to call from many hosts at once, and beside hosts of the release before; hosts
    /// that are older still would fail on it, and it is left as it is while there are any. A schema that is newer is used
    /// as it is where it allows that.
    pub async fn migrate(&self) -> Result<()> {
        let schema = self.schema().await?;
        expect_usable(&schema)?;
        if !schema.pending.is_empty() {
            self.expect_no_older_host(&schema).await?;
        }
        // Another host may take the schema further at any time.
        let mut migrator = self.migrator();
        migrator.set_ignore_missing(true);
        match &self.db {
            Db::Sqlite { writer, .. } => writer.migrate(&migrator).await?,
            Db::MySql(pool, _) => steps::apply(pool, &migrator).await?,
            Db::Postgres(pg) => pg.migrate(migrator).await?,
        }
        self.backfill().await
    }

    /// Whether this program can work on the schema as it is.
    pub async fn expect_schema(&self) -> Result<()> {
        let schema = self.schema().await?;
        expect_usable(&schema)?;
        if schema.pending.is_empty() {
            return Ok(());
        }
        Err(Error::SchemaOlder { applied: schema.applied.unwrap_or(0), known: schema.known })
    }

    /// The newest step of this program; the same for all databases.
    pub fn schema_known() -> i64 {
        Self::sqlite_migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
    }

    /// The schema's steps, in the words of the database that is open.
    pub(super) fn migrator(&self) -> sqlx::migrate::Migrator {
        match self.db {
            Db::Sqlite { .. } => Self::sqlite_migrator(),
            Db::MySql(..) => sqlx_macros::migrate!("../migrations/mysql"),
            Db::Postgres(_) => sqlx_macros::migrate!("../migrations/postgres"),
        }
    }

    fn sqlite_migrator() -> sqlx::migrate::Migrator {
        sqlx_macros::migrate!("../migrations/sqlite")
    }

    async fn expect_no_older_host(&self, schema: &Schema) -> Result<()> {
        if schema.applied.is_none_or(|applied| applied < PROGRAMS_SINCE) {
            return Ok(());
        }
        let older: Vec<_> = self.hosts().await?.into_iter().filter(|host| host.schema_known < OLDEST_PROGRAM).collect();
        if older.is_empty() {
            return Ok(());
        }
        let hosts = older.iter().map(|host| format!("{} (version {})", host.host, host.version));
        Err(Error::HostsTooOld { hosts: hosts.collect::<Vec<_>>().join(", ") })
    }
}

/// A newer program may have brought the schema further than this one knows, and than it can follow.
fn expect_usable(schema: &Schema) -> Result<()> {
    let Some(applied) = schema.applied.filter(|applied| *applied > schema.known) else { return Ok(()) };
    if !schema.allows_this_program() {
        return Err(Error::SchemaNewer { applied, known: schema.known });
    }
    tracing::warn!(
        schema.applied = applied,
        schema.known = schema.known,
        "a newer release brought the schema further; this one works on it as well"
    );
    Ok(())
}
