//! What is old is forgotten, and nothing else.

use ecomm::service::Retention;
use serde_json::json;

use crate::app::{App, sqlite};
use crate::database::Database;
use crate::harness::tests;
use crate::stages::install;

tests! {
    on_each_database {
        what_ended_long_ago_is_forgotten_and_nothing_else
        one_host_forgets_and_not_under_a_replay
    }
    once {
        sessions_that_ended_are_forgotten
        acts_of_long_ago_are_forgotten
        nothing_is_forgotten_where_nothing_is_to_be
    }
}

const DAY_MS: i64 = 86_400_000;
pub const RETENTION: Retention = Retention {
    contents_days: 90,
    notifications_days: 730,
    sessions_days: 30,
    acts_days: 730,
    per_second_max: 1_000_000,
};

/// Makes a notification that many days older.
async fn age(app: &App, notification: i64, days: i64) {
    let then = app.clock.now_ms() - days * DAY_MS;
    let set = format!(
        "update notification_states set created_at = {then}, \
         completed_at = case when completed_at is null then null else {then} end where id = {notification}"
    );
    app.database.execute(&set).await;
}

async fn rows(app: &App, table: &str, column: &str, id: i64) -> i64 {
    app.database.number(&format!("select count(*) from {table} where {column} = {id}")).await
}

/// What there is of a notification: itself, its contents, entries of its journal.
async fn left(app: &App, id: i64) -> (i64, i64, bool) {
    let journal = rows(app, "notification_attempts", "state_id", id).await;
    (
        rows(app, "notification_states", "id", id).await,
        rows(app, "notification_payloads", "state_id", id).await,
        journal > 0,
    )
}

async fn what_ended_long_ago_is_forgotten_and_nothing_else(database: Database) {
    let app = App::with(database, &[("RETENTION__CONTENTS_DAYS", "90")]).await;
    let mut ids = Vec::new();
    for state in ["sent", "sent", "sent", "failed", "held", "queued"] {
        let order = app.order().await;
        if state != "queued" {
            app.drain().await;
        }
        let id = app.notifications(order).await[0]["id"].as_i64().unwrap();
        if ["failed", "held"].contains(&state) {
            app.database.execute(&format!("update notification_states set state = '{state}' where id = {id}")).await;
        }
        ids.push(id);
    }
    let [young, old, ancient, failed, held, queued] = ids[..] else { panic!("{ids:?}") };
    for (id, days) in [(young, 89), (old, 91), (ancient, 731), (failed, 91), (held, 800), (queued, 800)] {
        age(&app, id, days).await;
    }
    let service = &app.host.service;
    // Two contents, and one that goes whole: its contents first.
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 4);
    assert_eq!(left(&app, young).await, (1, 1, true));
    assert_eq!(left(&app, old).await, (1, 0, false));
    assert_eq!(left(&app, ancient).await, (0, 0, false));
    assert_eq!(left(&app, failed).await, (1, 0, false));
    assert_eq!(left(&app, held).await, (1, 1, true));
    assert_eq!(left(&app, queued).await, (1, 1, false));
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 0);

    // What is left of it is shown; what cannot be done any more says so.
    let shown = app.client.ok("GET", &format!("/v1/notifications/{old}"), &app.admin, None).await;
    assert_eq!((&shown["state"], &shown["journal"]), (&json!("sent"), &json!([])), "{shown}");
    let retry = format!("/v1/notifications/{failed}/retry");
    let (status, problem) = app.client.call("POST", &retry, &app.admin, Some(json!({ "allow_late": true }))).await;
    assert_eq!(status.as_u16(), 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("has been forgotten (retention.contents_days)"), "{problem}");
    let (status, _) = app.client.call("GET", &format!("/v1/notifications/{old}/reproduction"), &app.admin, None).await;
    assert_eq!(status.as_u16(), 404);
    // What is held is sent all the same.
    app.client
        .ok("POST", &format!("/v1/notifications/{held}/retry"), &app.admin, Some(json!({ "allow_late": true })))
        .await;
    let sent = app.mailbox.messages().len();
    app.drain().await;
    assert_eq!(app.mailbox.messages().len(), sent + 2);
    app.end().await;
}

async fn one_host_forgets_and_not_under_a_replay(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    app.drain().await;
    let id = app.notifications(order).await[0]["id"].as_i64().unwrap();
    age(&app, id, 100).await;
    let service = &app.host.service;
    let far = 9_000_000_000_000_000_i64;
    app.database.execute(&format!("update retention_lease set host = 'other', until_at = {far}")).await;
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 0);
    app.database.execute("update retention_lease set until_at = 0").await;
    let running = format!(
        "insert into plugin_operations (kind, slot, revision, state, is_cancelled, progress, created_at, created_by, \
         updated_at, host) values ('replay', 'renderer', 1, 'running', 0, '{{}}', 0, 'user 1', {far}, 'other')"
    );
    app.database.execute(&running).await;
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 0);
    app.database.execute("update plugin_operations set state = 'succeeded'").await;
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 1);
    assert_eq!(left(&app, id).await, (1, 0, false));
    // A replay of what is left finds nothing, and says so.
    let good = install(&app, json!({})).await;
    let path = format!("/v1/plugins/revisions/{good}/replays");
    assert_eq!(app.client.ok("POST", &path, &app.admin, Some(json!({}))).await["events"], json!(0));
    app.end().await;
}

async fn acts_of_long_ago_are_forgotten() {
    let app = App::start(sqlite().await).await;
    let admin = app.host.service.authenticate(Some(&app.admin)).unwrap();
    for act in ["first", "second"] {
        let doing = Box::pin(async { Ok(()) });
        app.host.service.recorded(admin, act, "a test", "because", doing).await.unwrap();
    }
    let old = app.clock.now_ms() - 731 * DAY_MS;
    app.database.execute(&format!("update console_acts set created_at = {old} where act = 'first'")).await;
    app.host.service.forget_what_is_old(RETENTION).await.unwrap();
    assert_eq!(app.database.texts("select act from console_acts").await, ["second"]);
    let for_ever = Retention { acts_days: 0, ..RETENTION };
    app.database.execute("update console_acts set created_at = 0").await;
    app.host.service.forget_what_is_old(for_ever).await.unwrap();
    assert_eq!(app.database.number("select count(*) from console_acts").await, 1);
    app.end().await;
}

async fn sessions_that_ended_are_forgotten() {
    let app = App::start(sqlite().await).await;
    let sessions = "select count(*) from sessions";
    let there = app.database.number(sessions).await;
    assert!(there >= 2);
    let old = app.clock.now_ms() - 31 * DAY_MS;
    app.database.execute(&format!("update sessions set revoked_at = {old} where id = 1")).await;
    app.host.service.forget_what_is_old(RETENTION).await.unwrap();
    assert_eq!(app.database.number(sessions).await, there - 1);
    app.end().await;
}

async fn nothing_is_forgotten_where_nothing_is_to_be() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    app.drain().await;
    let id = app.notifications(order).await[0]["id"].as_i64().unwrap();
    age(&app, id, 10_000).await;
    let never =
        Retention { contents_days: 0, notifications_days: 0, sessions_days: 0, acts_days: 0, per_second_max: 1 };
    assert_eq!(app.host.service.forget_what_is_old(never).await.unwrap(), 0);
    assert_eq!(left(&app, id).await, (1, 1, true));
    app.end().await;
    for (contents, whole) in [("91", "90"), ("0", "90")] {
        let database = sqlite().await;
        let settings = [("RETENTION__CONTENTS_DAYS", contents), ("RETENTION__NOTIFICATIONS_DAYS", whole)];
        let refused = ecomm::config::Config::load(None, crate::app::environment(&database, &settings)).unwrap_err();
        assert!(refused.to_string().starts_with("retention.contents_days: must be at most"), "{refused}");
    }
}
