//! What one host began and others go on with: replays, and the judging of canaries.

use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use ecomm::service::{Operation, Principal};
use serde_json::{Value, json};

use crate::app::{App, environment, eventually};
use crate::database::Database;
use crate::harness::tests;
use crate::operations::begin;
use crate::stages::{install, orders, stage};

tests! {
    on_each_database {
        a_replay_goes_on_at_the_next_host
        a_replay_goes_on_from_where_it_was
        a_replay_that_was_cancelled_does_not_go_on
    }
    on_each_server {
        a_canary_is_judged_by_what_all_hosts_saw
    }
}

const OPERATOR: Principal = Principal { user_id: 1, session_id: 0, is_admin: true, role: None };

async fn host(database: &Database, more: &[(&str, &str)]) -> Host {
    let config = Config::load(None, environment(database, more)).unwrap();
    let roles = Roles { worker: false, ..Roles::ALL };
    let mut host = Host::start(config, roles, ecomm::clock::Clock::system()).await.unwrap();
    host.prepared().await;
    host
}

async fn ended(host: &Host, id: i64) -> Operation {
    let is_over = async || host.service.operation(OPERATOR, id).await.unwrap().has_ended();
    eventually("the operation ended", is_over).await;
    host.service.operation(OPERATOR, id).await.unwrap()
}

async fn a_replay_goes_on_at_the_next_host(database: Database) {
    let long = [("PLUGINS__CALL__FUEL_MAX", "1000000000000"), ("PLUGINS__CALL__TIME_MS_MAX", "20000")];
    let app = App::with(database, &long).await;
    orders(&app, 3).await;
    let slow = install(&app, json!({ "render": "loop", "spare_order": "4242424242" })).await;
    let (_, begun) = begin(&app, &format!("/v1/plugins/revisions/{slow}/replays"), json!({})).await;
    let id = begun["id"].as_i64().unwrap();
    eventually("it is written down", async || {
        app.database.number("select count(*) from plugin_operations where progress like '%position%'").await == 1
    })
    .await;
    let database = app.end_keeping().await;
    // At once, not after its host has been silent for long: it was let go of. Here the candidate may not take as long.
    let next = host(&database, &[]).await;
    let replay = ended(&next, id).await;
    assert_eq!((replay.state.as_str(), &replay.problem), ("succeeded", &None));
    let found = replay.replay.unwrap();
    assert_eq!((found.events, found.faults, found.revision), (3, 3, slow));
    next.stop().await;
}

async fn a_replay_goes_on_from_where_it_was(database: Database) {
    let app = App::start(database).await;
    let placed = orders(&app, 5).await;
    let good = install(&app, json!({})).await;
    let (_, begun) = begin(&app, &format!("/v1/plugins/revisions/{good}/replays"), json!({})).await;
    let whole = ended(&app.host, begun["id"].as_i64().unwrap()).await.replay.unwrap();
    assert_eq!((whole.events, whole.changed_bodies), (5, 5));
    // As its host left it after the first two: three are left, of which the last is not asked for.
    let third = app.notifications(placed[2]).await[0]["id"].as_i64().unwrap();
    let mut half = serde_json::to_value(&whole).unwrap();
    half["events"] = json!(2);
    half["changed_bodies"] = json!(2);
    half["examples"] = json!([]);
    let (from, to) = (i64::MIN, i64::MAX);
    let fuel = json!({ "40": 2 });
    let position = json!({ "from": from, "to": to, "before": third + 1, "left": 2, "fuel": fuel, "times": fuel });
    let reached = json!({ "step": "replaying", "done": 2, "of": 4, "replay": half, "position": position });
    let row = format!(
        "insert into plugin_operations (kind, slot, revision, state, is_cancelled, progress, created_at, created_by, \
         updated_at, host) values ('replay', 'renderer', {good}, 'running', 0, '{reached}', 0, 'user 1', 0, 'gone')"
    );
    app.database.execute(&row).await;
    let id = app.database.number("select max(id) from plugin_operations").await;
    let replay = ended(&app.host, id).await;
    assert_eq!(replay.state, "succeeded", "{:?}", replay.problem);
    let found = replay.replay.unwrap();
    assert_eq!((found.events, found.changed_bodies), (4, 4));
    assert!(!app.database.texts("select progress from plugin_operations").await.iter().any(|p| p.contains("position")));

    // This host's own is not taken over, however long it was silent: the heartbeat will be back.
    let own = row.replace("'gone'", &format!("'{}'", app.host.service.host));
    app.database.execute(&own).await;
    app.host.service.adopt_replays().await.unwrap();
    let own = app.database.number("select max(id) from plugin_operations").await;
    assert_eq!(app.host.service.operation(OPERATOR, own).await.unwrap().state, "running");
    app.database.execute(&format!("update plugin_operations set state = 'cancelled' where id = {own}")).await;
    // One that ended three hosts without getting on does not end a fourth.
    let mut fatal = reached.clone();
    fatal["position"]["takeovers"] = json!(3);
    app.database.execute(&row.replace(&reached.to_string(), &fatal.to_string())).await;
    let id = app.database.number("select max(id) from plugin_operations").await;
    let failed = ended(&app.host, id).await;
    assert_eq!((failed.state.as_str(), failed.problem.unwrap().code.as_str()), ("failed", "host-ended"));

    // One that its host left before it began says so.
    app.database.execute(&row.replace(&reached.to_string(), "{}")).await;
    let lost = ended(&app.host, id + 1).await;
    assert_eq!(lost.state, "failed");
    assert_eq!(lost.problem.unwrap().detail, "its host ended before it began; start it again");
    app.end().await;
}

async fn a_replay_that_was_cancelled_does_not_go_on(database: Database) {
    let long = [("PLUGINS__CALL__FUEL_MAX", "1000000000000"), ("PLUGINS__CALL__TIME_MS_MAX", "20000")];
    let app = App::with(database, &long).await;
    app.database
        .execute(
            "insert into plugin_operations (kind, slot, revision, state, is_cancelled, progress, created_at, created_by, \
             updated_at, host) values ('replay', 'renderer', 1, 'running', 1, '{}', 0, 'user 1', 0, 'gone')",
        )
        .await;
    assert_eq!(ended(&app.host, 1).await.state, "cancelled");

    // Another host has it: this one stops, and says nothing of its end.
    orders(&app, 1).await;
    let slow = install(&app, json!({ "render": "loop", "spare_order": "4242424242" })).await;
    let path = format!("/v1/plugins/revisions/{slow}/replays");
    let (_, begun) = begin(&app, &path, json!({})).await;
    let id = begun["id"].as_i64().unwrap();
    let ours = app.database.texts("select host from plugin_operations where state = 'running'").await;
    assert_eq!(ours, std::slice::from_ref(&app.host.service.host));
    assert_eq!(begin(&app, &path, json!({})).await.0, 202);
    assert_eq!(begin(&app, &path, json!({})).await.0, 409, "two are the most");
    let others = 9_000_000_000_000_000_i64;
    let taken = format!("update plugin_operations set host = 'other', updated_at = {others} where id = {id}");
    app.database.execute(&taken).await;
    eventually("this host has room again", async || begin(&app, &path, json!({})).await.0 == 202).await;
    assert_eq!(app.host.service.operation(OPERATOR, id).await.unwrap().state, "running");
    app.end().await;
}

async fn a_canary_is_judged_by_what_all_hosts_saw(database: Database) {
    let guard = [("PLUGINS__GUARD__CALLS_MIN", "6"), ("PLUGINS__GUARD__STEP_MS", "0")];
    let app = App::with(database, &guard).await;
    let other = host(&app.database, &guard).await;
    let bad = install(&app, json!({ "render": "trap", "spare_order": "4242424242" })).await;
    stage(&app, bad, json!({ "stage": "canary", "percent": 100 })).await;
    let is_canary = |host: &Host| {
        let slots = host.service.plugin_slots(OPERATOR).unwrap();
        slots[0].canary.as_ref().map(|canary| canary.revision)
    };
    eventually("the other host follows", async || is_canary(&other) == Some(bad)).await;
    // Each sees fewer than it takes to judge.
    for queue in [&app.host.queue, &other.queue] {
        for _ in 0..3 {
            app.order().await;
        }
        queue.run_until_idle().await;
    }
    eventually("it is taken out", async || is_canary(&app.host).is_none() && is_canary(&other).is_none()).await;
    let path = format!("/v1/plugins/revisions/{bad}");
    let shown: Value = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!(shown["stage"], "quarantined");
    assert!(shown["why"].as_str().unwrap().starts_with("100.0 % of 6 calls went wrong (6 without"), "{shown}");
    other.stop().await;
    app.end().await;
}
