//! The schema's steps on `MySQL` and `MariaDB`, which commit each statement that changes the schema by itself: how far a step has
//! got is written down, so that one that was broken off goes on where it was. The other databases undo it.

use std::collections::HashMap;

use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};
use sqlx::mysql::MySqlDatabaseError;
use sqlx::{Acquire as _, Executor as _, MySqlConnection, MySqlPool};

use super::Result;

/// Where the driver notes steps, as for the other databases.
const TABLE: &str = "_sqlx_migrations";

const PROGRESS: &str =
    "create table if not exists schema_progress (version bigint primary key, parts_done bigint not null)";

/// What the server says of a statement that it has done before: there is a table, column, key or constraint already, or it is gone
/// or renamed.
const DONE_BEFORE: [u16; 7] = [1050, 1054, 1060, 1061, 1091, 1146, 1826];

/// Brings the schema up to date, one host at a time.
pub(super) async fn apply(pool: &MySqlPool, migrator: &Migrator) -> Result<()> {
    let mut connection = pool.acquire().await?;
    connection.lock().await?;
    let applied = apply_all(&mut connection, migrator).await;
    if applied.is_err() {
        // With whatever it has locked.
        connection.close().await?;
        return applied;
    }
    Ok(connection.unlock().await?)
}

async fn apply_all(connection: &mut MySqlConnection, migrator: &Migrator) -> Result<()> {
    connection.ensure_migrations_table(TABLE).await?;
    connection.execute(PROGRESS).await?;
    let applied = connection.list_applied_migrations(TABLE).await?.into_iter();
    let applied: HashMap<_, _> = applied.map(|step| (step.version, step.checksum)).collect();
    let broken_off = connection.dirty_version(TABLE).await?;
    for step in migrator.iter() {
        let done = match applied.get(&step.version) {
            Some(checksum) if *checksum != step.checksum => {
                return Err(MigrateError::VersionMismatch(step.version).into());
            }
            Some(_) if broken_off == Some(step.version) => done(connection, step).await?,
            Some(_) => continue,
            None => begin(connection, step).await?,
        };
        finish(connection, step, done).await?;
    }
    Ok(())
}

/// How many of its parts are done.
async fn done(connection: &mut MySqlConnection, step: &Migration) -> Result<usize> {
    let sql = "select parts_done from schema_progress where version = ?";
    let done: Option<i64> = sqlx::query_scalar(sql).bind(step.version).fetch_optional(connection).await?;
    let done = done.and_then(|done| usize::try_from(done).ok());
    // One that a program before this one broke off: nobody knows where.
    Ok(done.ok_or(MigrateError::Dirty(step.version))?)
}

async fn begin(connection: &mut MySqlConnection, step: &Migration) -> Result<usize> {
    let mut tx = connection.begin().await?;
    let sql = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
               values (?, ?, false, ?, -1)";
    let begun = sqlx::query(sql).bind(step.version).bind(&*step.description).bind(&*step.checksum);
    begun.execute(&mut *tx).await?;
    let sql = "insert into schema_progress (version, parts_done) values (?, 0)";
    sqlx::query(sql).bind(step.version).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(0)
}

/// Does the parts from `done` on. The first of them may be done, or begun, and not be noted.
async fn finish(connection: &mut MySqlConnection, step: &Migration, done: usize) -> Result<()> {
    for (at, part) in parts(step.sql.as_str()).into_iter().enumerate().skip(done) {
        // What changes rows is undone where its note is not committed with it.
        let mut tx = connection.begin().await?;
        for statement in part {
            match tx.execute(sqlx::AssertSqlSafe(statement)).await {
                Err(e) if at == done && was_done(&e) => {}
                Err(e) => return Err(MigrateError::ExecuteMigration(e, step.version).into()),
                Ok(_) => {}
            }
        }
        let sql = "update schema_progress set parts_done = ? where version = ?";
        let noted = sqlx::query(sql).bind(i64::try_from(at + 1).unwrap_or(i64::MAX)).bind(step.version);
        noted.execute(&mut *tx).await?;
        tx.commit().await?;
    }
    let mut tx = connection.begin().await?;
    let sql = "update _sqlx_migrations set success = true where version = ?";
    sqlx::query(sql).bind(step.version).execute(&mut *tx).await?;
    sqlx::query("delete from schema_progress where version = ?").bind(step.version).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

fn was_done(e: &sqlx::Error) -> bool {
    let error = e.as_database_error().and_then(|e| e.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|e| DONE_BEFORE.contains(&e.number()))
}

/// The statements of a step's text, which has none with a semicolon within it; those between `lock tables` and `unlock tables`
/// together, since nothing else can be written meanwhile.
fn parts(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let text = lines.join("\n");
    let (mut parts, mut is_locked): (Vec<Vec<String>>, _) = (Vec::new(), false);
    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        match parts.last_mut().filter(|_| is_locked) {
            Some(part) => part.push(statement.to_owned()),
            None => parts.push(vec![statement.to_owned()]),
        }
        is_locked = statement.starts_with("lock tables") || (is_locked && !statement.starts_with("unlock tables"));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_step_is_taken_apart() {
        let text = "-- Why; and how.\ncreate table a (\n    id bigint\n);\n\nlock tables a write;\n-- More.\n\
                    insert into a values (1);\nunlock tables;\ndrop table a;\n";
        let expected: [&[&str]; 3] = [
            &["create table a (\n    id bigint\n)"],
            &["lock tables a write", "insert into a values (1)", "unlock tables"],
            &["drop table a"],
        ];
        assert_eq!(parts(text), expected);
        let known = ["alter", "create", "drop", "insert", "update", "rename", "delete", "select", "lock", "unlock"];
        for step in sqlx_macros::migrate!("../migrations/mysql").iter() {
            for statement in parts(step.sql.as_str()).into_iter().flatten() {
                assert!(known.contains(&statement.split_whitespace().next().unwrap()), "{statement}");
            }
        }
    }
}
