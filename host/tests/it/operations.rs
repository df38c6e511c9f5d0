//! Long work of operators: begun, followed, cancelled.

use serde_json::{Value, json};

use crate::app::{App, eventually};
use crate::database::Database;
use crate::harness::tests;
use crate::stages::{install, orders, upload};

tests! {
    on_each_database {
        an_install_goes_on_when_its_request_has_ended
        an_operation_is_cancelled_and_the_compiler_with_it
        a_replay_is_cancelled_and_replays_are_limited
        an_operation_whose_host_has_ended_has_failed
    }
}

/// A request that does not wait.
pub async fn begin(app: &App, path: &str, body: Value) -> (u16, Value) {
    let (status, headers, answer) = app.client.with(("POST", path), &app.admin, &[], Some(body)).await;
    if status == 202 {
        let location = format!("/v1/plugins/operations/{}", answer["id"]);
        assert_eq!(headers["location"], location.as_str());
    }
    (status, answer)
}

async fn operation(app: &App, id: &Value) -> Value {
    let path = format!("/v1/plugins/operations/{id}");
    app.client.with(("GET", path.as_str()), &app.admin, &[], None).await.2
}

async fn ended(app: &App, id: &Value) -> Value {
    eventually("the operation ended", async || operation(app, id).await["state"] != "running").await;
    operation(app, id).await
}

async fn an_install_goes_on_when_its_request_has_ended(database: Database) {
    let app = App::start(database).await;
    let digest = upload(&app, std::fs::read(env!("MISBEHAVING_WASM")).unwrap()).await;
    let new = |config: Value| json!({ "slot": "renderer", "digest": digest, "config": config });
    let (status, begun) = begin(&app, "/v1/plugins/revisions", new(json!({}))).await;
    assert_eq!((status, &begun["state"], &begun["kind"]), (202, &json!("running"), &json!("install")));
    let done = ended(&app, &begun["id"]).await;
    assert_eq!((&done["state"], &done["problem"]), (&json!("succeeded"), &Value::Null), "{done}");
    let path = format!("/v1/plugins/revisions/{}", done["revision"]);
    assert_eq!(app.client.ok("GET", &path, &app.admin, None).await["digest"], json!(digest));

    // What is refused says why, to the caller who comes back and to the one who waits.
    let trap = new(json!({ "configure": "trap" }));
    let (_, begun) = begin(&app, "/v1/plugins/revisions", trap.clone()).await;
    let failed = ended(&app, &begun["id"]).await;
    assert_eq!((&failed["state"], &failed["problem"]["code"]), (&json!("failed"), &json!("plugin:configure")));
    let wait = [("prefer", "respond-async, Wait=25")];
    let call = ("POST", "/v1/plugins/revisions");
    let (status, _, problem) = app.client.with(call, &app.admin, &wait, Some(trap)).await;
    assert_eq!((status, &problem["type"]), (422, &json!("urn:ecomm:problem:plugin:configure")));
    let (status, headers, _) = app.client.with(call, &app.admin, &wait, Some(new(json!({})))).await;
    assert_eq!((status, headers["preference-applied"].to_str().unwrap()), (201, "wait=25"));

    let page = app.client.ok("GET", "/v1/plugins/operations?limit=2", &app.admin, None).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert!(page["next_cursor"].is_string());
    for (path, token, status) in [
        ("/v1/plugins/operations/999", &app.admin, 404),
        ("/v1/plugins/operations", &app.customer, 403),
        ("/v1/plugins/operations/1", &app.customer, 403),
    ] {
        assert_eq!(app.client.call("GET", path, token, None).await.0.as_u16(), status, "{path}");
    }
    app.end().await;
}

async fn an_operation_is_cancelled_and_the_compiler_with_it(database: Database) {
    let (compiler, _) = crate::cold::held_compiler(database.folder.path());
    let more = [("PLUGINS__COMPILER__PROGRAM", compiler.as_str()), ("PLUGINS__CACHE_PATH", "")];
    let app = App::with(database, &more).await;
    let new = |n: i32| json!({ "slot": "renderer", "config": { "from_name": format!("{n}") } });
    let (_, first) = begin(&app, "/v1/plugins/revisions", new(0)).await;
    eventually("it is compiled", async || operation(&app, &first["id"]).await["step"] == "compiling").await;
    // They wait for the gate, but not without limit.
    let mut begun = vec![first];
    for n in 1..16 {
        begun.push(begin(&app, "/v1/plugins/revisions", new(n)).await.1);
    }
    let (status, problem) = begin(&app, "/v1/plugins/revisions", new(99)).await;
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("this host runs 16 operations"), "{problem}");
    for operation in &begun {
        let path = format!("/v1/plugins/operations/{}/cancel", operation["id"]);
        assert_eq!(app.client.call("POST", &path, &app.customer, None).await.0.as_u16(), 403);
        app.client.ok("POST", &path, &app.admin, None).await;
    }
    for operation in &begun {
        assert_eq!(ended(&app, &operation["id"]).await["state"], "cancelled");
    }
    assert_eq!(app.database.number("select count(*) from plugin_revisions").await, 2);
    // The gate is free again: nothing of theirs is left in it.
    let (_, again) = begin(&app, "/v1/plugins/revisions", new(0)).await;
    eventually("it is compiled", async || operation(&app, &again["id"]).await["step"] == "compiling").await;
    app.end().await;
}

async fn a_replay_is_cancelled_and_replays_are_limited(database: Database) {
    let more = [("PLUGINS__CALL__FUEL_MAX", "1000000000000"), ("PLUGINS__CALL__TIME_MS_MAX", "20000")];
    let app = App::with(database, &more).await;
    orders(&app, 3).await;
    let slow = install(&app, json!({ "render": "loop", "spare_order": "4242424242" })).await;
    let path = format!("/v1/plugins/revisions/{slow}/replays");
    let mut begun = Vec::new();
    for _ in 0..2 {
        let (status, operation) = begin(&app, &path, json!({})).await;
        assert_eq!(status, 202);
        begun.push(operation["id"].clone());
    }
    assert_eq!(begin(&app, &path, json!({})).await.0, 409);
    for id in &begun {
        app.client.ok("POST", &format!("/v1/plugins/operations/{id}/cancel"), &app.admin, None).await;
        let cancelled = ended(&app, id).await;
        assert_eq!((&cancelled["state"], &cancelled["replay"]["revision"]), (&json!("cancelled"), &json!(slow)));
        // It is no evidence.
        let change = json!({ "stage": "active", "require": { "replay": id } });
        let stage = format!("/v1/plugins/revisions/{slow}/stage");
        let (status, problem) = app.client.call("POST", &stage, &app.admin, Some(change)).await;
        assert_eq!(status.as_u16(), 409);
        assert!(problem["detail"].as_str().unwrap().contains("it ended early"), "{problem}");
    }
    app.end().await;
}

async fn an_operation_whose_host_has_ended_has_failed(database: Database) {
    let app = App::start(database).await;
    app.database
        .execute(
            "insert into plugin_operations (kind, slot, state, is_cancelled, progress, created_at, created_by, \
             updated_at) values ('install', 'policy', 'running', 0, '{}', 0, 'user 1', 0)",
        )
        .await;
    let failed = operation(&app, &json!(1)).await;
    assert_eq!((&failed["state"], &failed["problem"]["code"]), (&json!("failed"), &json!("host-ended")));
    app.end().await;
}
