//! What forgetting costs deliveries beside which it runs, and whether a database stops growing.

use std::time::{Duration, Instant};

use ecomm::host::Host;
use ecomm::service::Retention;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, SqliteConnection};
use tokio_util::sync::CancellationToken;

use crate::rig;

/// Notifications that ended long ago; `ECOMM_BENCH_ENDED` says another number.
const ENDED: i64 = 5_000_000;
/// Rows of one statement.
const SHARE: i64 = 50_000;
/// Enough that the queue does not run dry.
const QUEUED: usize = 300_000;
/// Of each kind.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(5);
const PER_SECOND: u32 = 5_000;
const DAY_MS: i64 = 86_400_000;
const A_DAY: i64 = 2_000;

const RETENTION: Retention = Retention {
    contents_days: 30,
    notifications_days: 90,
    sessions_days: 30,
    acts_days: 90,
    components_days: 730,
    mailbox_days: 30,
    per_second_max: PER_SECOND,
};

pub(crate) async fn measure() {
    let ended = std::env::var("ECOMM_BENCH_ENDED").ok().and_then(|n| n.parse().ok()).unwrap_or(ENDED);
    for database in rig::databases() {
        Box::pin(beside_deliveries(&database, ended)).await;
        Box::pin(a_year(&database)).await;
    }
}

/// A host with one mail that went out, of which the others are made.
async fn begin(url: &str) -> Host {
    let host = rig::host(url, false).await;
    let (who, product) = rig::shop(&host.service).await;
    rig::fill(&host.service, who, product, 1).await;
    host.queue.run_until_idle().await;
    host
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn beside_deliveries(database: &rig::Database, ended: i64) {
    let url = database.fresh().await;
    let host = begin(&url).await;
    let then = host.service.clock.now_ms() - 60 * DAY_MS;
    for from in (0..ended).step_by(usize::try_from(SHARE).unwrap_or(1)) {
        copy(&url, from, SHARE.min(ended - from), then).await;
    }
    execute(&url, if url.starts_with("sqlite") { "pragma wal_checkpoint(truncate)" } else { "select 1" }).await;
    // Of the first customer and product.
    let who = ecomm::service::Principal { user_id: 1, session_id: 0, is_admin: false, role: None };
    rig::fill(&host.service, who, 1, QUEUED).await;
    let (stop, queue) = (CancellationToken::new(), host.queue.clone());
    let working = tokio::spawn({
        let stop = stop.clone();
        async move { queue.run(stop).await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let arrived = host.service.mailbox.as_ref().expect("a mailbox").count();
    let round = async || {
        let (before, begun) = (*arrived.borrow(), Instant::now());
        tokio::time::sleep(ROUND).await;
        (*arrived.borrow() - before) as f64 / begun.elapsed().as_secs_f64()
    };
    let (mut alone, mut beside, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(round().await);
        let service = host.service.clone();
        let forgetting = tokio::spawn(async move { service.forget_what_is_old(RETENTION).await });
        let (there, begun) = (number(&url, CONTENTS).await, Instant::now());
        beside.push(round().await);
        // Those that are delivered meanwhile keep theirs.
        forgotten.push((there - number(&url, CONTENTS).await) as f64 / begun.elapsed().as_secs_f64());
        forgetting.abort();
        // The lease of what was cut off is this host's own.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let queued = number(&url, "select count(*) from notification_events_queue").await;
    stop.cancel();
    working.await.expect("the worker ends");
    host.stop().await;
    assert!(queued > 0, "the queue ran dry: what was measured is no rate");
    let (alone, beside) = (rig::median(alone), rig::median(beside));
    println!("\nretention, {}: {ended} notifications that ended, at most {PER_SECOND}/s forgotten", database.name);
    println!("  deliveries alone          {alone:>8.0} mails/s");
    println!("  beside the forgetting     {beside:>8.0} mails/s   {:.3} of that", beside / alone);
    println!("  forgotten meanwhile       {:>8.0} /s", rig::median(forgotten));
}

/// How many there are whose contents are known.
const CONTENTS: &str = "select count(*) from notification_payloads";

/// Contents are kept for 30 days, notifications for 90.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn a_year(database: &rig::Database) {
    let url = database.fresh().await;
    let host = begin(&url).await;
    let retention = Retention { per_second_max: u32::MAX, ..RETENTION };
    let mut sizes = Vec::new();
    for day in 1..=365 {
        copy(&url, day * A_DAY, A_DAY, host.service.clock.now_ms()).await;
        host.service.clock.advance(u32::try_from(DAY_MS).expect("a day"));
        host.service.forget_what_is_old(retention).await.expect("forgotten");
        if day % 5 == 0 && url.starts_with("postgres") {
            // As autovacuum would have done within five days.
            for table in ["notification_states", "notification_payloads", "notification_attempts"] {
                execute(&url, &format!("vacuum {table}")).await;
            }
        }
        if [60, 120, 240, 365].contains(&day) {
            sizes.push((day, size(&url).await));
        }
    }
    let left = number(&url, "select count(*) from notification_states").await;
    let contents = number(&url, "select count(*) from notification_payloads").await;
    host.stop().await;
    assert!((left - 90 * A_DAY).abs() <= A_DAY + 1, "{left} are left");
    assert!((contents - 30 * A_DAY).abs() <= A_DAY + 1, "{contents} have contents");
    println!("  a year of {A_DAY} a day, contents kept for 30 days, notifications for 90 ({left} are left):");
    let (_, settled) = sizes[1];
    for (day, bytes) in &sizes {
        let ratio = *bytes as f64 / settled as f64;
        println!("    day {day:>3}   {:>7.1} MB   {ratio:.2} of day 120", *bytes as f64 / 1e6);
    }
}

/// More of the first notification, its contents and its journal, that ended then.
async fn copy(url: &str, from: i64, count: i64, then: i64) {
    let to = from + count - 1;
    let (series, id) = if url.starts_with("sqlite") {
        let series = format!(
            "(with recursive n(i) as (select {from} union all select i + 1 from n where i < {to}) select i from n) n"
        );
        (series, "'old-' || n.i")
    } else if url.starts_with("postgres") {
        (format!("generate_series({from}, {to}) n(i)"), "'old-' || n.i")
    } else {
        (format!("(select seq as i from seq_{from}_to_{to}) n"), "concat('old-', n.i)")
    };
    // What is copied must not be forgotten before.
    let renew = format!("update notification_states set created_at = {then}, completed_at = {then} where id = 1");
    execute(url, &renew).await;
    let last = number(url, "select max(id) from notification_states").await;
    execute(
        url,
        &format!(
            "insert into notification_states \
             (lane, place, message_id, kind, state, attempts, reason, created_at, completed_at) \
             select s.lane, 1000000 + n.i, {id}, s.kind, s.state, s.attempts, s.reason, {then}, {then} \
             from notification_states s cross join {series} where s.id = 1"
        ),
    )
    .await;
    execute(
        url,
        &format!(
            "insert into notification_payloads (state_id, payload) select q.id, p.payload from notification_states q \
             cross join notification_payloads p where q.id > {last} and p.state_id = 1"
        ),
    )
    .await;
    let columns = "epoch, kind, phase, class, code, enhanced, reply, relay, verdict, reason, delay_ms, \
        renderer_digest, renderer_revision, policy_digest, policy_revision, seed, situation, message_hash, repeats";
    let of_first = columns.split(", ").map(|column| format!("a.{column}")).collect::<Vec<_>>().join(", ");
    execute(
        url,
        &format!(
            "insert into notification_attempts (state_id, {columns}, started_at, ended_at) select q.id, {of_first}, \
             {then}, {then} from notification_states q cross join notification_attempts a \
             where q.id > {last} and a.state_id = 1"
        ),
    )
    .await;
}

async fn size(url: &str) -> i64 {
    if url.starts_with("sqlite") {
        execute(url, "pragma wal_checkpoint(truncate)").await;
        return number(url, "select page_count * page_size from pragma_page_count(), pragma_page_size()").await;
    }
    if url.starts_with("postgres") {
        return number(url, "select pg_database_size(current_database())").await;
    }
    let sql = "select cast(sum(file_size) as signed) from information_schema.innodb_sys_tablespaces \
        where name like concat(database(), '/%')";
    number(url, sql).await
}

async fn execute(url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.expect("the file opens");
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("done");
    } else if url.starts_with("postgres") {
        let mut connection = PgConnection::connect(url).await.expect("the server answers");
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("done");
    } else {
        let mut connection = MySqlConnection::connect(url).await.expect("the server answers");
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("done");
    }
}

async fn number(url: &str, sql: &str) -> i64 {
    let sql = AssertSqlSafe(sql.to_owned());
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.expect("the file opens");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("a number")
    } else if url.starts_with("postgres") {
        let mut connection = PgConnection::connect(url).await.expect("the server answers");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("a number")
    } else {
        let mut connection = MySqlConnection::connect(url).await.expect("the server answers");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("a number")
    }
}
