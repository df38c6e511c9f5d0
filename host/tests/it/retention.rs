//! What is old is forgotten, and nothing else.

use ecomm::service::Retention;
use serde_json::json;

use crate::app::{App, sqlite};
use crate::database::Database;
use crate::harness::tests;
use crate::reports;
use crate::stages::{install, stage, upload};

tests! {
    on_each_database {
        what_ended_long_ago_is_forgotten_and_nothing_else
        what_was_reported_is_kept_without_words
        one_host_forgets_and_not_under_a_replay
        components_that_nothing_needs_are_forgotten
    }
    once {
        sessions_that_ended_are_forgotten
        acts_of_long_ago_are_forgotten
        files_of_the_mailbox_are_removed
        who_took_over_from_a_quarantined_one_served_until_the_next
        nothing_is_forgotten_where_nothing_is_to_be
    }
}

const DAY_MS: i64 = 86_400_000;
pub const RETENTION: Retention = Retention {
    contents_days: 90,
    notifications_days: 730,
    sessions_days: 30,
    acts_days: 730,
    components_days: 730,
    mailbox_days: 30,
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

async fn what_was_reported_is_kept_without_words(database: Database) {
    let settings = [("MAIL__RETURN_PATH", reports::BASE), ("INBOUND__LISTEN", "127.0.0.1:0")];
    let app = App::with(database, &settings).await;
    let mut mails = Vec::new();
    for _ in 0..3 {
        let (notification, back) = reports::sent(&app).await;
        let id = notification["id"].as_i64().unwrap();
        let late = reports::of(&notification, "delayed", &back);
        assert!(reports::report(&app, "", &back, &late).await.starts_with("250"));
        mails.push((id, notification, back));
    }
    for ((id, ..), days) in mails.iter().zip([89, 91, 731]) {
        age(&app, *id, days).await;
    }
    assert_eq!(app.host.service.forget_what_is_old(RETENTION).await.unwrap(), 3);
    let said =
        async || app.database.texts("select concat(state_id, ' ', words) from notification_reports order by id").await;
    let words = "451 4.4.1 mx.example.com takes no connections, no such mailbox here";
    let [(young, ..), (old, notification, back), ..] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!(said().await, [format!("{young} {words}"), format!("{old} ")]);
    // What comes later is known, and nobody is named by it.
    assert!(reports::report(&app, "", back, &reports::of(notification, "bounced", back)).await.starts_with("250"));
    assert_eq!(said().await[2..], [format!("{old} ")]);
    let shown = app.client.ok("GET", &format!("/v1/notifications/{old}"), &app.admin, None).await;
    assert_eq!(shown["delivery"], "bounced", "{shown}");
    assert_eq!(app.database.number("select count(*) from mail_suppressions").await, 0);
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
    let never = Retention {
        contents_days: 0,
        notifications_days: 0,
        sessions_days: 0,
        acts_days: 0,
        components_days: 0,
        ..RETENTION
    };
    assert_eq!(app.host.service.forget_what_is_old(never).await.unwrap(), 0);
    assert_eq!(left(&app, id).await, (1, 1, true));
    app.end().await;
    for (contents, whole) in [("91", "90"), ("0", "90")] {
        let database = sqlite().await;
        let settings = [("RETENTION__CONTENTS_DAYS", contents), ("RETENTION__NOTIFICATIONS_DAYS", whole)];
        let refused = ecomm::config::Config::load(None, crate::app::environment(&database, &settings)).unwrap_err();
        assert!(refused.to_string().starts_with("retention.contents_days: must be at most"), "{refused}");
    }
    for (contents, components) in [("90", "89"), ("0", "730")] {
        let database = sqlite().await;
        let settings = [
            ("RETENTION__CONTENTS_DAYS", contents),
            ("RETENTION__NOTIFICATIONS_DAYS", if contents == "0" { "0" } else { "730" }),
            ("RETENTION__COMPONENTS_DAYS", components),
        ];
        let refused = ecomm::config::Config::load(None, crate::app::environment(&database, &settings)).unwrap_err();
        assert!(refused.to_string().starts_with("retention.components_days: must be at least"), "{refused}");
    }
}

/// A renderer of which each number is another component: it differs in the name of an empty section.
fn another(n: u8) -> Vec<u8> {
    let wasm = std::fs::read(env!("MISBEHAVING_WASM")).unwrap();
    [&wasm[..], &[0, 2, 1, b'a' + n]].concat()
}

/// Has such a renderer serve; its revision and its digest.
async fn activate(app: &App, n: u8) -> (i64, String) {
    let digest = upload(app, another(n)).await;
    let new = json!({ "slot": "renderer", "digest": digest, "why": "a test" });
    let id = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    stage(app, id, json!({ "stage": "active" })).await;
    (id, digest)
}

/// Everything that was done with components happens so many days before.
async fn age_components(app: &App, days: i64) {
    let ms = days * DAY_MS;
    for table in ["plugin_components", "plugin_revisions", "plugin_history"] {
        app.database.execute(&format!("update {table} set created_at = created_at - {ms}")).await;
    }
}

async fn components_that_nothing_needs_are_forgotten(database: Database) {
    let app = App::start(database).await;
    let service = &app.host.service;
    // The first serves for years and is then replaced twice; the third serves.
    let mut revisions = Vec::new();
    for n in 0..3 {
        revisions.push(activate(&app, n).await);
        if n == 0 {
            age_components(&app, 2_000).await;
        }
    }
    let there = |at: usize| {
        let sql = format!("select count(*) from plugin_parts where part = 0 and digest = '{}'", revisions[at].1);
        let app = &app;
        async move { app.database.number(&sql).await == 1 }
    };
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 0, "it has served until today");
    age_components(&app, 731).await;
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 1);
    assert_eq!([there(0).await, there(1).await, there(2).await], [false, true, true], "one can be returned to");
    // Whoever wants it back is told so, also where it is in memory, and gets it back by another upload.
    let path = format!("/v1/plugins/revisions/{}/stage", revisions[0].0);
    let (status, refused) = app.client.call("POST", &path, &app.admin, Some(json!({ "stage": "active" }))).await;
    assert_eq!(status, 409, "{refused}");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("has been forgotten (retention.components_days)"), "{detail}");
    upload(&app, another(0)).await;
    assert!(there(0).await);
    stage(&app, revisions[0].0, json!({ "stage": "active" })).await;
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 1);
    assert_eq!([there(0).await, there(1).await, there(2).await], [true, false, true]);
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 0);
    app.end().await;
}

async fn who_took_over_from_a_quarantined_one_served_until_the_next() {
    let app = App::start(sqlite().await).await;
    activate(&app, 0).await;
    let (bad, _) = activate(&app, 1).await;
    stage(&app, bad, json!({ "stage": "quarantined" })).await;
    age_components(&app, 2_000).await;
    activate(&app, 2).await;
    activate(&app, 3).await;
    let service = &app.host.service;
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 0, "the first has served until today");
    age_components(&app, 731).await;
    assert_eq!(service.forget_what_is_old(RETENTION).await.unwrap(), 2);
    app.end().await;
}

async fn files_of_the_mailbox_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let app = App::with(sqlite().await, &[("MAILBOX__PATH", &path)]).await;
    app.order().await;
    app.drain().await;
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let old = app.clock.now_ms() - 31 * DAY_MS;
    for name in [format!("{old}-a@b.eml"), format!("{old}.eml"), "notes-1.eml".to_owned(), format!("{old}-a.txt")] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    assert_eq!(files(), 5);
    app.host.service.forget_on_disk(RETENTION).await.unwrap();
    assert_eq!(files(), 4, "the one that is old and the mailbox's own");
    assert!(!folder.path().join(format!("{old}-a@b.eml")).exists());
    app.end().await;
}
