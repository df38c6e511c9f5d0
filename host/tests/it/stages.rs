//! Components from upload to full traffic and back, as operators walk them.

use ecomm::service::{Move, Principal, Terms};
use serde_json::{Value, json};

use crate::app::{App, eventually, sqlite};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_component_walks_through_every_stage
        two_hosts_converge
        what_is_quarantined_is_not_promoted_at_the_same_moment
        a_replay_counts_what_would_change_and_a_promotion_may_ask_for_it
    }
    on_each_server {
        looks_at_one_moment_do_not_meet
    }
    once {
        of_two_operators_one_is_stale
        a_revision_that_only_fails_rests_and_is_tried_again
        a_sent_mail_is_made_again_bit_for_bit
        what_cannot_be_taken_is_refused_and_leaves_nothing
        viewers_look_and_operators_change
        a_restart_keeps_what_operators_chose
    }
}

const OPERATOR: Principal = Principal { user_id: 1, session_id: 0, is_admin: true, role: None };

/// Uploads a component; its digest.
pub async fn upload(app: &App, wasm: Vec<u8>) -> String {
    let url = format!("{}/v1/plugins/components", app.client.base);
    let request = app.client.http.post(url).bearer_auth(&app.admin).header("content-type", "application/wasm");
    let response = request.body(wasm).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 201);
    response.json::<Value>().await.unwrap()["digest"].as_str().unwrap().to_owned()
}

/// Installs a renderer that misbehaves as `config` says; its number. It must behave on the gate's fixtures.
pub async fn install(app: &App, config: Value) -> i64 {
    let digest = upload(app, std::fs::read(env!("MISBEHAVING_WASM")).unwrap()).await;
    let new = json!({ "slot": "renderer", "digest": digest, "config": config, "why": "a test" });
    app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap()
}

pub async fn stage(app: &App, revision: i64, change: Value) -> Value {
    let path = format!("/v1/plugins/revisions/{revision}/stage");
    app.client.ok("POST", &path, &app.admin, Some(change)).await
}

pub async fn slot(app: &App) -> Value {
    app.client.ok("GET", "/v1/plugins", &app.admin, None).await[0].clone()
}

/// Who wrote the last mail of an order.
async fn writer(app: &App, order: i64) -> Value {
    app.notifications(order).await[0]["journal"][0]["renderer_revision"].clone()
}

pub async fn orders(app: &App, count: usize) -> Vec<i64> {
    let mut placed = Vec::new();
    for _ in 0..count {
        placed.push(app.order().await);
    }
    app.drain().await;
    placed
}

async fn a_component_walks_through_every_stage(database: Database) {
    let app = App::with(database, &[("PLUGINS__GUARD__CALLS_MIN", "4"), ("PLUGINS__GUARD__STEP_MS", "0")]).await;
    let builtin = slot(&app).await["active"]["revision"].as_i64().unwrap();
    let good = install(&app, json!({})).await;
    let path = format!("/v1/plugins/revisions/{good}");
    let shown = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!((&shown["stage"], &shown["report"]["contract"]), (&json!("ready"), &json!("ecomm:notification@1.0.0")));
    // The same again is the same.
    assert_eq!(install(&app, json!({})).await, good);

    // Ready: it serves nobody. Previewed beside the active one, nothing is sent.
    let first = orders(&app, 1).await[0];
    assert_eq!(writer(&app, first).await, builtin);
    let notification = app.notifications(first).await[0]["id"].clone();
    let preview = format!("{path}/preview");
    let preview = app.client.ok("POST", &preview, &app.admin, Some(json!({ "notification": notification }))).await;
    assert_eq!(
        (&preview["is_same"], preview["candidate"]["email"]["subject"].as_str()),
        (&json!(false), Some(format!("Order {first}").as_str()))
    );
    assert_eq!(app.mailbox.messages().len(), 1);

    // Shadow: it sees the event, and no mail is its.
    stage(&app, good, json!({ "stage": "shadow", "why": "to see" })).await;
    let shadowed = orders(&app, 1).await[0];
    assert_eq!(writer(&app, shadowed).await, builtin);
    eventually("the shadow saw it", async || slot(&app).await["shadow"]["counts"]["diverged"] == 1).await;

    // Canary: sticky by order, then all of it, by its own plan.
    stage(&app, good, json!({ "stage": "canary", "percent": 50, "plan": { "steps": [100], "then_activate": true } }))
        .await;
    let placed = orders(&app, 16).await;
    let mut theirs = 0;
    for order in &placed {
        theirs += usize::from(writer(&app, *order).await == good);
    }
    assert!((2..=14).contains(&theirs), "{theirs}");
    // The host looks after its slots too, and may be in the middle of it.
    let looked_after = async |what: &str, is_so: fn(&Value) -> bool| {
        eventually(what, async || {
            app.host.service.look_after_plugins().await.unwrap();
            is_so(&slot(&app).await)
        })
        .await;
    };
    looked_after("the next step", |slot| slot["percent"] == 100).await;
    orders(&app, 6).await;
    looked_after("the activation", |slot| slot["canary"].is_null()).await;
    assert_eq!(slot(&app).await["active"]["revision"], json!(good));

    // A bad one that behaves on the fixtures: back by itself, and its events were not lost nor charged for it.
    let bad = install(&app, json!({ "render": "trap", "spare_order": "4242424242" })).await;
    stage(&app, bad, json!({ "stage": "canary", "percent": 100 })).await;
    let placed = orders(&app, 6).await;
    looked_after("the rollback", |slot| slot["canary"].is_null()).await;
    assert_eq!(slot(&app).await["active"]["revision"], json!(good));
    let shown = app.client.ok("GET", &format!("/v1/plugins/revisions/{bad}"), &app.admin, None).await;
    assert_eq!(shown["stage"], "quarantined");
    assert!(shown["why"].as_str().unwrap().contains("without an answer"), "{shown}");
    for order in placed {
        let told = &app.notifications(order).await[0];
        assert_eq!((&told["state"], &told["attempts"]), (&json!("sent"), &json!(1)));
    }
    let (path, active) = (format!("/v1/plugins/revisions/{bad}/stage"), json!({ "stage": "active" }));
    assert_eq!(app.client.call("POST", &path, &app.admin, Some(active)).await.0.as_u16(), 409);

    // And back, at once.
    let back = app.client.ok("POST", "/v1/plugins/renderer/rollback", &app.admin, Some(json!({ "to": builtin }))).await;
    assert_eq!((&back["active"]["revision"], &back["previous"]["revision"]), (&json!(builtin), &json!(good)));
    let history = app.client.ok("GET", "/v1/plugins/history?slot=renderer", &app.admin, None).await;
    let done: Vec<_> =
        history["items"].as_array().unwrap().iter().rev().map(|c| c["action"].as_str().unwrap()).collect();
    assert_eq!(
        done[1..],
        ["install", "shadow", "canary", "canary", "activate", "install", "canary", "quarantine", "activate"]
    );
    app.end().await;
}

async fn two_hosts_converge(database: Database) {
    let app = App::start(database).await;
    let config = ecomm::config::Config::load(None, crate::app::environment(&app.database, &[])).unwrap();
    let roles = ecomm::host::Roles { worker: false, ..ecomm::host::Roles::ALL };
    let mut other = ecomm::host::Host::start(config, roles, app.clock.clone()).await.unwrap();
    other.prepared().await;
    let good = install(&app, json!({})).await;
    stage(&app, good, json!({ "stage": "active" })).await;
    assert_eq!(slot(&app).await["active"]["revision"], good);
    eventually("the other host follows", async || {
        other.service.plugin_slots(OPERATOR).unwrap()[0].active.revision == good
    })
    .await;
    other.stop().await;
    app.end().await;
}

/// Without `If-Match` there is nothing but the slot's lock between a promotion and a guard that quarantines.
async fn what_is_quarantined_is_not_promoted_at_the_same_moment(database: Database) {
    let app = App::start(database).await;
    for delay in 0..3 {
        let id = install(&app, json!({ "delay_ms": delay })).await;
        let move_to = |to| app.host.service.move_revision(OPERATOR, id, to, Terms::default());
        let (quarantined, _) = tokio::join!(move_to(Move::Quarantine), move_to(Move::Activate));
        quarantined.unwrap();
        assert_ne!(slot(&app).await["active"]["revision"], json!(id));
        let shown = app.client.ok("GET", &format!("/v1/plugins/revisions/{id}"), &app.admin, None).await;
        assert_eq!(shown["stage"], "quarantined");
    }
    app.end().await;
}

/// The host's own look and those of a test write the same row.
async fn looks_at_one_moment_do_not_meet(database: Database) {
    let app = App::start(database).await;
    let candidate = install(&app, json!({})).await;
    for percent in 1..=3 {
        stage(&app, candidate, json!({ "stage": "canary", "percent": percent })).await;
        let looks = futures_util::future::join_all((0..8).map(|_| app.host.service.look_after_plugins()));
        for look in looks.await {
            look.unwrap();
        }
    }
    app.end().await;
}

async fn of_two_operators_one_is_stale() {
    let app = App::start(sqlite().await).await;
    let (one, two) = (install(&app, json!({})).await, install(&app, json!({ "delay_ms": 0 })).await);
    let version = format!("\"{}\"", slot(&app).await["version"]);
    let promote = async |revision: i64| {
        let path = format!("/v1/plugins/revisions/{revision}/stage");
        let body = Some(json!({ "stage": "active" }));
        app.client.with(("POST", &path), &app.admin, &[("if-match", &version)], body).await.0
    };
    let mut both = [promote(one).await, promote(two).await];
    both.sort_unstable();
    assert_eq!(both, [200, 412]);
    app.end().await;
}

async fn a_revision_that_only_fails_rests_and_is_tried_again() {
    let limits = [("PLUGINS__BREAKER__FAILURES_MAX", "3"), ("PLUGINS__BREAKER__OPEN_MS", "3600000")];
    let app = App::with(sqlite().await, &limits).await;
    let bad = install(&app, json!({ "render": "trap", "spare_order": "4242424242" })).await;
    stage(&app, bad, json!({ "stage": "active" })).await;
    for _ in 0..6 {
        // One at a time: those that are under way already are not called back.
        let order = orders(&app, 1).await[0];
        let told = &app.notifications(order).await[0];
        assert_eq!((&told["state"], &told["attempts"]), (&json!("sent"), &json!(1)));
    }
    let active = slot(&app).await["active"].clone();
    assert_eq!((&active["is_circuit_open"], &active["counts"]["calls"]), (&json!(true), &json!(3)));
    app.end().await;
}

async fn a_replay_counts_what_would_change_and_a_promotion_may_ask_for_it(database: Database) {
    let app = App::start(database).await;
    orders(&app, 5).await;
    app.database.execute("update notification_payloads set payload = '{}' where state_id = 1").await;
    let candidate = install(&app, json!({})).await;
    let replay = async |revision: i64| {
        let path = format!("/v1/plugins/revisions/{revision}/replays");
        app.client.ok("POST", &path, &app.admin, Some(json!({ "last": 100 }))).await;
        let operations = app.client.ok("GET", "/v1/plugins/operations?limit=1", &app.admin, None).await;
        let operation = operations["items"][0].clone();
        assert_eq!([&operation["kind"], &operation["state"]], ["replay", "succeeded"]);
        (operation["id"].clone(), operation["replay"].clone())
    };
    let (id, told) = replay(candidate).await;
    assert_eq!([&told["events"], &told["unreadable"], &told["faults"]].map(|n| n.as_u64().unwrap()), [5, 1, 0]);
    assert_eq!([&told["changed_subjects"], &told["changed_bodies"]].map(|n| n.as_u64().unwrap()), [4, 4]);
    assert_eq!(told["examples"].as_array().unwrap().len(), 4);
    let change = |most: u32| json!({ "stage": "active", "require": { "replay": id, "changed_percent_max": most } });
    let path = format!("/v1/plugins/revisions/{candidate}/stage");
    let (status, problem) = app.client.call("POST", &path, &app.admin, Some(change(10))).await;
    assert_eq!(status.as_u16(), 409, "{problem}");
    app.client.ok("POST", &path, &app.admin, Some(change(80))).await;
    // The same against itself changes nothing; and is no evidence against another.
    let (id, told) = replay(candidate).await;
    assert_eq!(told["changed_bodies"], 0);
    app.client.ok("POST", "/v1/plugins/renderer/rollback", &app.admin, Some(json!({}))).await;
    let again = json!({ "stage": "active", "require": { "replay": id } });
    let (status, problem) = app.client.call("POST", &path, &app.admin, Some(again)).await;
    assert_eq!(status.as_u16(), 409);
    assert!(problem["detail"].as_str().unwrap().contains("not active any more"), "{problem}");
    // A policy replays its decisions.
    let new = json!({ "slot": "policy", "config": { "attempts_max": 2 } });
    let (_, policy) = app.client.call("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await;
    let (_, told) = replay(policy["id"].as_i64().unwrap_or_else(|| panic!("{policy}"))).await;
    assert_eq!([&told["events"], &told["changed_decisions"]].map(|n| n.as_u64().unwrap()), [5, 0]);
    // What the journal says of the active revision is no answer of the candidate's: each hour is quiet in one half of
    // the day. One of the five cannot be read.
    let mut changed = 0;
    for (from, until) in [(0, 12), (12, 0)] {
        let new = json!({ "slot": "policy", "config": { "quiet_hours": { "from": from, "until": until } } });
        let quiet = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
        changed += replay(quiet).await.1["changed_decisions"].as_u64().unwrap();
    }
    assert_eq!(changed, 4);
    app.end().await;
}

async fn a_sent_mail_is_made_again_bit_for_bit() {
    let app = App::start(sqlite().await).await;
    let order = orders(&app, 1).await[0];
    let id = app.notifications(order).await[0]["id"].clone();
    // Another one serves by now.
    let other = install(&app, json!({})).await;
    stage(&app, other, json!({ "stage": "active" })).await;
    let made = app.client.ok("GET", &format!("/v1/notifications/{id}/reproduction"), &app.admin, None).await;
    assert_eq!((&made["is_same"], &made["sent_hash"]), (&json!(true), &made["made_hash"]));
    assert!(made["message"].as_str().unwrap().contains("Subject: Your order"));
    app.database.execute("update notification_payloads set payload = replace(payload, 'Lovelace', 'Byron')").await;
    let made = app.client.ok("GET", &format!("/v1/notifications/{id}/reproduction"), &app.admin, None).await;
    assert_eq!(made["is_same"], false);
    app.end().await;
}

/// Promises a component of 5,000 bytes and sends its beginning.
async fn begin_upload(app: &App, beginning: &str) -> tokio::net::TcpStream {
    let address = app.client.base.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/plugins/components HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: \
         application/wasm\r\ncontent-length: 5000\r\n\r\n{beginning}",
        app.admin
    );
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
    socket
}

async fn what_cannot_be_taken_is_refused_and_leaves_nothing() {
    let app = App::with(sqlite().await, &[("PLUGINS__COMPONENT_BYTES_MAX", "2000000")]).await;
    let url = format!("{}/v1/plugins/components", app.client.base);
    let post = |content_type: &str, body: Vec<u8>| {
        app.client.http.post(&url).bearer_auth(&app.admin).header("content-type", content_type).body(body)
    };
    for (content_type, body, status) in [
        ("text/plain", b"\0asm\x0d\0\x01\0".to_vec(), 415),
        ("application/wasm", b"nothing of that kind".to_vec(), 422),
        ("application/wasm", [b"\0asm\x0d\0\x01\0".to_vec(), vec![0; 2_000_000]].concat(), 413),
    ] {
        assert_eq!(post(content_type, body).send().await.unwrap().status().as_u16(), status);
    }
    // Cut half-way: promised more than came.
    drop(begin_upload(&app, "\0asm").await);
    // What begins like nothing of ours is refused before the rest has come.
    let mut socket = begin_upload(&app, "%PDF-1.7").await;
    let mut answer = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut socket, &mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 422");
    assert_eq!(app.database.number("select count(*) from plugin_components").await, 2);
    let digest = upload(&app, std::fs::read(env!("MISBEHAVING_WASM")).unwrap()).await;
    for (new, status) in [
        (json!({ "slot": "renderer", "digest": "00" }), 404),
        (json!({ "slot": "renderer", "digest": digest, "config": [] }), 422),
        (json!({ "slot": "renderer", "digest": digest, "config": { "colour": 1 } }), 422),
        (json!({ "slot": "renderer", "digest": digest, "config": { "configure": "trap" } }), 422),
        (json!({ "slot": "kitchen", "digest": digest }), 422),
    ] {
        let (told, problem) = app.client.call("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await;
        assert_eq!(told.as_u16(), status, "{problem}");
    }
    for (revision, change, status) in [
        (999, json!({ "stage": "active" }), 404),
        (1, json!({ "stage": "canary", "percent": 0 }), 409),
        (1, json!({ "stage": "canary", "percent": 5, "plan": { "steps": [5] } }), 409),
        (1, json!({ "stage": "active", "require": { "replay": 9 } }), 404),
    ] {
        let path = format!("/v1/plugins/revisions/{revision}/stage");
        assert_eq!(app.client.call("POST", &path, &app.admin, Some(change)).await.0.as_u16(), status);
    }
    assert_eq!(app.database.number("select count(*) from plugin_revisions").await, 2);
    app.end().await;
}

async fn viewers_look_and_operators_change() {
    let app = App::start(sqlite().await).await;
    let id = app.database.number("select id from users where email = 'ada@example.com'").await;
    let rights = async |role: Value| {
        let path = format!("/v1/users/{id}");
        app.client.ok("PATCH", &path, &app.admin, Some(json!({ "role": role }))).await;
        let token = app.client.log_in("ada@example.com").await;
        let look = app.client.call("GET", "/v1/plugins/history", &token, None).await.0.as_u16();
        let change = app.client.call("POST", "/v1/plugins/renderer/reload", &token, None).await.0.as_u16();
        let shop = app.client.call("GET", "/v1/users", &token, None).await.0.as_u16();
        [look, change, shop]
    };
    assert_eq!(rights(json!(null)).await, [403, 403, 403]);
    assert_eq!(rights(json!("viewer")).await, [200, 403, 403]);
    assert_eq!(rights(json!("operator")).await, [200, 200, 403]);
    app.end().await;
}

/// What the settings name serves from the first start on, and again whenever it is new; else the operators' word holds.
async fn a_restart_keeps_what_operators_chose() {
    let database = sqlite().await;
    let config = database.folder.path().join("renderer.json").display().to_string();
    std::fs::write(&config, r#"{"from_name": "One"}"#).unwrap();
    let named = [("PLUGINS__RENDERER__CONFIG_PATH", config.as_str())];
    let app = App::with(database, &named).await;
    let named_first = slot(&app).await["active"]["revision"].as_i64().unwrap();
    let chosen = install(&app, json!({})).await;
    stage(&app, chosen, json!({ "stage": "active" })).await;
    let database = app.end_keeping().await;
    let restarted =
        |database: &Database| ecomm::config::Config::load(None, crate::app::environment(database, &named)).unwrap();
    let roles = ecomm::host::Roles { worker: false, ..ecomm::host::Roles::ALL };
    let clock = ecomm::clock::Clock::system();
    // The one before, which stands by, is not what the gate would take any more: what serves, serves on.
    let rename = async |from: &str, to: &str| {
        let set = format!("config = replace(config, '{from}', '{to}')");
        database.execute(&format!("update plugin_revisions set {set} where id = {named_first}")).await;
    };
    rename("from_name", "nobody_knows").await;
    let mut host = ecomm::host::Host::start(restarted(&database), roles, clock.clone()).await.unwrap();
    host.prepared().await;
    assert_eq!(host.service.plugin_slots(OPERATOR).unwrap()[0].active.revision, chosen);
    host.stop().await;
    rename("nobody_knows", "from_name").await;
    let mut host = ecomm::host::Host::start(restarted(&database), roles, clock.clone()).await.unwrap();
    host.prepared().await;
    assert_eq!(host.service.plugin_slots(OPERATOR).unwrap()[0].active.revision, chosen);
    // Back without the gate: it is known.
    let terms = Terms { why: "back", ..Terms::default() };
    host.service.move_revision(OPERATOR, named_first, Move::Activate, terms).await.unwrap();
    host.stop().await;
    std::fs::write(&config, r#"{"from_name": "Two"}"#).unwrap();
    let mut host = ecomm::host::Host::start(restarted(&database), roles, clock).await.unwrap();
    host.prepared().await;
    let active = host.service.plugin_slots(OPERATOR).unwrap()[0].active.revision;
    assert!(active > chosen, "{active}");
    host.stop().await;
}
