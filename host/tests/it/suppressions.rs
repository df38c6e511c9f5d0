//! Addresses that get no more mails: asked before every mail, over every way in.

use ecomm::clock::{Clock, DAY_MS};
use ecomm::config::Config;
use ecomm::grpc::client::Client as Calls;
use ecomm::host::{Host, Roles};
use ecomm::mail::mailbox::Phase;
use ecomm::service::Principal;
use ecomm::suppression::{Cause, NewSuppression, Scope, SuppressionFilter};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, SECRET, environment, reply, sqlite};
use crate::console::Browser;
use crate::database::Database;
use crate::harness::tests;
use crate::remote::Operator;
use crate::stages::{stage, upload};

tests! {
    on_each_database {
        a_suppressed_address_gets_no_mail
        what_a_relay_says_of_nobody_is_learnt
        of_who_left_a_hash_is_kept
        imports_at_one_moment_do_not_meet
    }
    once {
        a_policy_may_try_a_mailbox_again_and_no_more
        a_hash_outlives_the_secret
        lists_and_what_cannot_be_taken
        viewers_look_and_operators_change
        they_go_out_and_come_in_by_the_command_line
        a_page_shows_and_changes_them
    }
}

const ADDRESS: &str = "ada@example.com";

async fn suppress(app: &App, new: Value) -> Value {
    app.client.ok("POST", "/v1/suppressions", &app.admin, Some(new)).await
}

/// The entries of the customer's address.
async fn entries(app: &App) -> Vec<Value> {
    let found = app.client.ok("GET", &format!("/v1/suppressions?address={ADDRESS}"), &app.admin, None).await;
    found["items"].as_array().unwrap().clone()
}

/// Places an order and works; its notification.
async fn told(app: &App) -> Value {
    let order = app.order().await;
    app.drain().await;
    app.notifications(order).await[0].clone()
}

async fn a_suppressed_address_gets_no_mail(database: Database) {
    let app = App::start(database).await;
    // Other categories, other addresses and what is over are no matter.
    suppress(&app, json!({ "address": ADDRESS, "category": "marketing", "cause": "unsubscribed" })).await;
    suppress(&app, json!({ "address": "bob@example.com", "cause": "complained" })).await;
    let soon = ecomm::clock::rfc3339::text(app.clock.now_ms() + 1_000);
    suppress(&app, json!({ "address": ADDRESS, "expires_at": soon })).await;
    app.clock.advance(2_000);
    assert_eq!(told(&app).await["state"], "sent");
    // However it is written.
    let entry =
        suppress(&app, json!({ "address": "ADA@Example.COM", "cause": "complained", "note": "by phone" })).await;
    let stopped = told(&app).await;
    assert_eq!(stopped["state"], "skipped", "{stopped}");
    let expected =
        format!("the address is suppressed (entry {}, complained): a mail was reported as unwanted", entry["id"]);
    assert!(stopped["reason"].as_str().unwrap().starts_with(&expected), "{stopped}");
    let journal = stopped["journal"].as_array().unwrap();
    assert_eq!((journal.len(), &journal[0]["verdict"]), (1, &json!("skip")), "{stopped}");
    assert_eq!(app.mailbox.messages().len(), 1);
    // Lifted, what was skipped can be tried again.
    app.client.call("DELETE", &format!("/v1/suppressions/{}", entry["id"]), &app.admin, None).await;
    assert_eq!(entries(&app).await.len(), 1, "what is over is not shown");
    let path = format!("/v1/notifications/{}/retry", stopped["id"]);
    app.client.ok("POST", &path, &app.admin, Some(json!({ "allow_late": true }))).await;
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent"]);
    // What is over is forgotten.
    assert_eq!(app.database.number("select count(*) from mail_suppressions").await, 3);
    app.host.service.forget_what_is_old(crate::retention::RETENTION).await.unwrap();
    assert_eq!(app.database.number("select count(*) from mail_suppressions").await, 2);
    app.end().await;
}

async fn what_a_relay_says_of_nobody_is_learnt(database: Database) {
    let app = App::start(database).await;
    app.fail(Phase::Rcpt, reply("550 5.1.1 no such user"), 1);
    let failed = told(&app).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    let learnt = entries(&app).await;
    assert_eq!(learnt.len(), 1, "{learnt:?}");
    assert_eq!(learnt[0]["cause"], "bounced");
    assert!(learnt[0]["source"].as_str().unwrap().starts_with("relay "), "{learnt:?}");
    assert_eq!(learnt[0]["note"], format!("notification {}: 5.1.1", failed["id"]));
    assert_eq!(told(&app).await["state"], "skipped");
    assert_eq!(app.mailbox.messages().len(), 0, "the relay was not asked again");
    // Who has it tried again has a reason, and a mail that arrives says that there is somebody.
    let path = format!("/v1/notifications/{}/retry", failed["id"]);
    app.client.ok("POST", &path, &app.admin, Some(json!({ "why": "the address works again" }))).await;
    app.drain().await;
    assert_eq!(app.mailbox.messages().len(), 1);
    assert_eq!(entries(&app).await.len(), 0);
    assert_eq!(told(&app).await["state"], "sent");
    // Refusals of the mail say nothing of the mailbox.
    app.fail(Phase::Dot, reply("550 5.7.1 looks like spam"), 1);
    assert_eq!(told(&app).await["state"], "failed");
    assert_eq!(entries(&app).await.len(), 0);
    // What an operator wrote stays as it is.
    suppress(&app, json!({ "address": ADDRESS, "cause": "bounced", "note": "by hand" })).await;
    let stopped = told(&app).await;
    app.fail(Phase::Rcpt, reply("550 5.1.1 no such user"), 1);
    app.client.ok("POST", &format!("/v1/notifications/{}/retry", stopped["id"]), &app.admin, Some(json!({}))).await;
    app.drain().await;
    let kept = entries(&app).await;
    assert_eq!(
        (kept.len(), &kept[0]["note"], &kept[0]["expires_at"]),
        (1, &json!("by hand"), &Value::Null),
        "{kept:?}"
    );
    app.database.execute("delete from mail_suppressions").await;
    // It is not for ever.
    app.fail(Phase::Rcpt, reply("550 5.1.1 no such user"), 1);
    assert_eq!(told(&app).await["state"], "failed");
    let span_ms = "select expires_at - created_at from mail_suppressions";
    assert_eq!(app.database.number(span_ms).await, 180 * DAY_MS);
    app.database.execute("update mail_suppressions set expires_at = created_at + 1").await;
    app.clock.advance(2);
    assert_eq!(told(&app).await["state"], "sent");
    app.end().await;
}

async fn of_who_left_a_hash_is_kept(database: Database) {
    let app = App::start(database).await;
    suppress(&app, json!({ "address": ADDRESS, "cause": "complained", "note": "Ada wrote to us" })).await;
    let me = app.customer_id().await;
    app.client.call("DELETE", &format!("/v1/users/{me}"), &app.admin, None).await;
    let kept = entries(&app).await;
    assert_eq!((&kept[0]["address"], &kept[0]["note"]), (&Value::Null, &json!("")), "{kept:?}");
    for column in ["source", "note", "coalesce(address, '')"] {
        let found = app.database.texts(&format!("select {column} from mail_suppressions")).await;
        assert!(found.iter().all(|text| !text.to_lowercase().contains("ada")), "{found:?}");
    }
    // Whoever comes with the address again gets no mail either.
    app.host.service.sign_up(crate::app::user(ADDRESS, "Ada Again")).await.unwrap();
    let customer = app.client.log_in(ADDRESS).await;
    let new = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
    let order = app.client.ok("POST", "/v1/orders", &customer, Some(new)).await["id"].as_i64().unwrap();
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["state"], "skipped");
    app.end().await;
}

async fn imports_at_one_moment_do_not_meet(database: Database) {
    let app = App::start(database).await;
    let items: Vec<NewSuppression> = (0..100)
        .map(|n| NewSuppression {
            address: format!("customer{n}@example.com").try_into().unwrap(),
            category: Scope::All,
            cause: Cause::Complained,
            note: ecomm::shop::text::OptionalLine::default(),
            expires_at: None,
        })
        .collect();
    let admin = Principal { user_id: 1, session_id: 0, is_admin: true, role: None };
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..6 {
        let (service, mut items) = (app.host.service.clone(), items.clone());
        items.rotate_left(n * 17);
        tasks.spawn(async move { service.import_suppressions(admin, &items).await });
    }
    for imported in tasks.join_all().await {
        assert_eq!(imported.unwrap(), 100);
    }
    assert_eq!(app.database.number("select count(*) from mail_suppressions").await, 100);
    app.end().await;
}

async fn a_policy_may_try_a_mailbox_again_and_no_more() {
    let app = App::start(sqlite().await).await;
    let digest = upload(&app, std::fs::read(env!("MISBEHAVING_WASM")).unwrap()).await;
    let policy = async |act: &str| {
        let new = json!({ "slot": "policy", "digest": digest, "config": { "admit": act } });
        let id = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
        stage(&app, id, json!({ "stage": "active" })).await;
    };
    suppress(&app, json!({ "address": ADDRESS, "cause": "bounced" })).await;
    policy("tell_suppression").await;
    let seen = told(&app).await;
    assert_eq!(seen["reason"], "[(\"suppression\", \"bounced\")]", "{seen}");
    policy("ignore_suppression").await;
    assert_eq!(told(&app).await["state"], "sent");
    assert_eq!(entries(&app).await.len(), 1, "a relay's word does not lift what an operator wrote");
    app.database.execute("delete from mail_suppressions").await;
    for cause in ["complained", "unsubscribed", "manual"] {
        let entry = suppress(&app, json!({ "address": ADDRESS, "cause": cause })).await;
        let stopped = told(&app).await;
        assert_eq!(stopped["state"], "skipped", "{stopped}");
        assert!(stopped["reason"].as_str().unwrap().contains(cause), "{stopped}");
        app.client.call("DELETE", &format!("/v1/suppressions/{}", entry["id"]), &app.admin, None).await;
    }
    app.end().await;
}

async fn a_hash_outlives_the_secret() {
    let app = App::start(sqlite().await).await;
    suppress(&app, json!({ "address": ADDRESS, "cause": "complained" })).await;
    app.order().await;
    let database = app.end_keeping().await;
    let settings = [
        ("AUTH__SECRET", "another secret, as long as it must be"),
        ("AUTH__RETIRED_SECRETS", &format!("[{SECRET:?}]")),
    ];
    let config = Config::load(None, environment(&database, &settings)).unwrap();
    let host = Box::pin(Host::start(config, Roles { worker: false, ..Roles::ALL }, Clock::system())).await.unwrap();
    host.queue.run_until_idle().await;
    assert_eq!(database.texts("select state from notification_states").await, ["skipped"]);
    host.stop().await;
}

async fn lists_and_what_cannot_be_taken() {
    let app = App::start(sqlite().await).await;
    let call =
        async |method: &str, path: &str, body: Option<Value>| app.client.call(method, path, &app.admin, body).await;
    let until = ecomm::clock::rfc3339::text(app.clock.now_ms() - 1);
    for (body, expected) in [
        (json!({}), "address"),
        (json!({ "address": "nobody" }), "address"),
        (json!({ "address": ADDRESS, "cause": "bored" }), "cause"),
        (json!({ "address": ADDRESS, "category": "some" }), "category"),
        (json!({ "address": ADDRESS, "note": "x".repeat(201) }), "note"),
        (json!({ "address": ADDRESS, "expires_at": until }), "must be in the future"),
        (json!({ "address": ADDRESS, "why": "?" }), "why"),
    ] {
        let (status, refused) = call("POST", "/v1/suppressions", Some(body)).await;
        assert!(matches!(status.as_u16(), 400 | 409 | 422), "{refused}");
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    let item = |n: usize| json!({ "address": format!("c{n}@example.com"), "cause": "bounced" });
    for (count, expected) in [(0, "1 to 500"), (501, "1 to 500")] {
        let items: Vec<Value> = (0..count).map(item).collect();
        let (_, refused) = call("POST", "/v1/suppressions/import", Some(json!({ "items": items }))).await;
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    // All or none.
    let (status, refused) =
        call("POST", "/v1/suppressions/import", Some(json!({ "items": [item(1), { "address": "no" }] }))).await;
    assert!(status.is_client_error() && refused.to_string().contains("items"), "{refused}");
    let items: Vec<Value> = (0..45).map(item).collect();
    for _ in 0..2 {
        let imported =
            app.client.ok("POST", "/v1/suppressions/import", &app.admin, Some(json!({ "items": items }))).await;
        assert_eq!(imported, json!({ "imported": 45 }));
    }
    let list = async |query: &str| app.client.ok("GET", &format!("/v1/suppressions?{query}"), &app.admin, None).await;
    let first = list("limit=30&cause=bounced").await;
    let next = first["next_cursor"].as_str().unwrap().to_owned();
    let second = list(&format!("limit=30&cause=bounced&cursor={next}")).await;
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (30, 15));
    assert_eq!(list("cause=complained").await["items"], json!([]));
    assert_eq!(list("category=marketing").await["items"], json!([]));
    assert_eq!(list("address=nobody@example.com").await["items"], json!([]));
    assert_eq!(call("DELETE", "/v1/suppressions/4711", None).await.0, 404);
    assert_eq!(call("GET", "/v1/suppressions/4711", None).await.0, 404);
    // The same over gRPC.
    let admin = Principal { user_id: 1, session_id: 0, is_admin: true, role: None };
    let calls = Calls::local(&app.host.service, admin);
    let filter = SuppressionFilter { cause: Some(Cause::Bounced), ..SuppressionFilter::default() };
    let page = calls.suppressions(&filter, 30, String::new()).await.unwrap();
    let ids: Vec<i64> = page.items.iter().map(|entry| entry.id).collect();
    let of = |answer: &Value| {
        answer["items"].as_array().unwrap().iter().map(|e| e["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((ids, page.next), (of(&first), Some(next)));
    app.end().await;
}

async fn viewers_look_and_operators_change() {
    let app = App::start(sqlite().await).await;
    let entry = suppress(&app, json!({ "address": ADDRESS })).await;
    let path = format!("/v1/suppressions/{}", entry["id"]);
    let new = json!({ "address": "bob@example.com" });
    let changes = [
        ("POST", "/v1/suppressions".to_owned(), Some(new.clone())),
        ("POST", "/v1/suppressions/import".to_owned(), Some(json!({ "items": [new] }))),
        ("DELETE", path.clone(), None),
    ];
    for (role, sees, changed) in
        [(Value::Null, false, false), (json!("viewer"), true, false), (json!("operator"), true, true)]
    {
        let me = app.customer_id().await;
        app.client.ok("PATCH", &format!("/v1/users/{me}"), &app.admin, Some(json!({ "role": role }))).await;
        let token = app.client.log_in(ADDRESS).await;
        for look in ["/v1/suppressions", &path] {
            assert_eq!(app.client.call("GET", look, &token, None).await.0.is_success(), sees, "{role} {look}");
        }
        if sees {
            let page = Browser::log_in(&app, ADDRESS).await.get("/console/suppressions").await;
            assert_eq!((page.status, page.text.contains("/lift")), (200, changed), "{}", page.text);
        }
        for (method, path, body) in &changes {
            let (status, answer) = app.client.call(method, path, &token, body.clone()).await;
            assert_eq!(status.is_success(), changed, "{role} {method} {path}: {answer}");
        }
    }
    app.end().await;
}

async fn they_go_out_and_come_in_by_the_command_line() {
    let app = App::start(sqlite().await).await;
    let operator = Operator::of(&app);
    assert!(operator.log_in("admin@shop.example", PASSWORD).await.0);
    let lines: Vec<String> = (0..1_203).map(|n| format!("c{n}@example.com")).collect();
    let import = ["suppression", "import", "-", "--cause", "complained", "--category", "marketing"];
    let output = operator.output(&import, &lines.join("\n"), &[]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1203 entries, new or renewed\n");
    operator
        .ok(&[
            "suppression",
            "add",
            "ada@example.com",
            "--note",
            "by \"phone\"",
            "--expires-at",
            "2999-01-01T00:00:00Z",
        ])
        .await;
    let listed = operator.ok(&["suppression", "ls", "--cause", "manual"]).await;
    assert!(listed.contains("ada@example.com") && listed.contains("2999-01-01"), "{listed}");
    // All of it, in another shop, is the same.
    let exported = operator.ok(&["suppression", "export"]).await;
    assert_eq!(exported.lines().count(), 1_204);
    let other = App::start(sqlite().await).await;
    let there = Operator::of(&other);
    assert!(there.log_in("admin@shop.example", PASSWORD).await.0);
    for _ in 0..2 {
        let output = there.output(&["suppression", "import", "-"], &exported, &[]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&there.ok(&["suppression", "export"]).await), sorted(&exported));
    // A line that cannot be read keeps all of it out, and is named.
    let output = there.output(&["suppression", "import", "-"], "new@example.com\n\nnot an address\n", &[]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("line 3"), "{said}");
    assert_eq!(there.ok(&["suppression", "export", "--address", "new@example.com"]).await, "");
    let id = there.json(&["suppression", "ls", "--address", "ADA@example.com"]).await[0]["id"].as_i64().unwrap();
    there.ok(&["suppression", "rm", &id.to_string()]).await;
    let said = there.refused(&["suppression", "rm", &id.to_string()], &[]).await;
    assert!(said.contains("not found") || said.contains("no such"), "{said}");
    app.end().await;
    other.end().await;
}

async fn a_page_shows_and_changes_them() {
    let app = App::start(sqlite().await).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let path = "/console/suppressions";
    let added = admin.act(path, &[("address", "<bob>@example.com"), ("cause", "complained")]).await;
    assert!(added.status >= 400 && !added.text.contains("<bob>"), "{}", added.text);
    let added = admin.act(path, &[("address", ADDRESS), ("category", "all"), ("cause", "complained")]).await;
    assert!(added.status == 200 && added.text.contains(ADDRESS) && added.text.contains("a test"), "{}", added.text);
    assert_eq!(told(&app).await["state"], "skipped");
    let found = |query: &'static str| {
        let admin = &admin;
        async move { admin.get(&format!("{path}?{query}")).await.text.contains(ADDRESS) }
    };
    assert!(found("cause=complained").await && found("address=ADA@example.com").await);
    assert!(!found("cause=bounced").await && !found("address=bob@example.com").await);
    let id = entries(&app).await[0]["id"].clone();
    let lifted = admin.act(&format!("{path}/{id}/lift"), &[]).await;
    assert!(lifted.status == 200 && !lifted.text.contains(ADDRESS), "{}", lifted.text);
    assert_eq!(admin.act(&format!("{path}/{id}/lift"), &[]).await.status, 404);
    // The record names no address: it outlives a user who leaves.
    let audit = admin.get("/console/audit").await.text;
    assert!(audit.contains("suppress") && audit.contains("lift-suppression") && !audit.contains(ADDRESS), "{audit}");
    app.end().await;
}
