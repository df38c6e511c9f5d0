//! From one release to the next: which schema which program works on. That nothing stops, gets lost or comes twice while hosts are
//! replaced under load is the fault rig's to show (`tests/faults`).

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host;

use crate::app::environment;
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        the_last_release_works_on_this_schema
        a_newer_schema_is_used_where_it_can_be
        a_schema_waits_for_hosts_that_it_would_break
        a_schema_that_lacks_steps_is_refused
    }
}

/// A step of a later release: what it did is not told to this one.
async fn go_ahead(database: &Database) {
    let checksum = if database.kind.speaks_postgres() { "'\\x00'::bytea" } else { "x'00'" };
    let step = format!("(9999, 'later', true, {checksum}, 0)");
    let columns = "(version, description, success, checksum, execution_time)";
    database.execute(&format!("insert into _sqlx_migrations {columns} values {step}")).await;
}

/// Why the database cannot be opened.
async fn refusal(database: &Database, more: &[(&str, &str)]) -> String {
    let config = Config::load(None, environment(database, more)).unwrap();
    match host::open(&config, Clock::system()).await {
        Ok(_) => panic!("it can"),
        Err(e) => e.to_string(),
    }
}

/// Brings the schema up to date, as a host does at its start.
async fn open(database: &Database) {
    let config = Config::load(None, environment(database, &[])).unwrap();
    host::open(&config, Clock::system()).await.unwrap().close().await;
}

async fn a_newer_schema_is_used_where_it_can_be(database: Database) {
    open(&database).await;
    go_ahead(&database).await;
    open(&database).await;
    database.execute("update schema_programs set oldest = 9999").await;
    for more in [&[][..], &[("DATABASE__MIGRATE_ON_START", "false")]] {
        let why = refusal(&database, more).await;
        assert!(why.contains("schema is number 9999") && why.contains("does not work beside this one"), "{why}");
    }
}

async fn a_schema_waits_for_hosts_that_it_would_break(database: Database) {
    open(&database).await;
    let newest = "(select version from (select max(version) as version from _sqlx_migrations) as x)";
    database.execute(&format!("delete from _sqlx_migrations where version = {newest}")).await;
    go_ahead(&database).await;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let host = format!("('older', '0.0.1', 3, 'worker', {now}, {now}, 0, 0)");
    let columns = "(host, version, schema_known, roles, started_at, seen_at, sent, failed)";
    database.execute(&format!("insert into hosts {columns} values {host}")).await;
    let why = refusal(&database, &[]).await;
    assert!(why.contains("older (version 0.0.1)") && why.contains("is left as it is"), "{why}");
    let applied =
        format!("select count(*) from _sqlx_migrations where version = {}", ecomm::store::Store::schema_known());
    assert_eq!(database.number(&applied).await, 0);
}

async fn a_schema_that_lacks_steps_is_refused(database: Database) {
    let why = refusal(&database, &[("DATABASE__MIGRATE_ON_START", "false")]).await;
    assert!(why.contains("schema is number 0") && why.contains("`ecomm migrate`"), "{why}");
}

/// The promise: hosts of the last release work on the schema of this one.
async fn the_last_release_works_on_this_schema(database: Database) {
    let (_, table) = include_str!("../../../docs/upgrade.md").split_once("| version |").unwrap();
    let newest = table.lines().nth(2).unwrap();
    let cells: Vec<_> = newest.split('|').map(str::trim).collect();
    let schema: i64 = cells[4].parse().unwrap();
    open(&database).await;
    let oldest = database.number("select oldest from schema_programs where id = 1").await;
    assert!(oldest <= schema && schema <= ecomm::store::Store::schema_known(), "{newest}");
}
