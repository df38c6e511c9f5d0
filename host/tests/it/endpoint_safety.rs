//! Endpoints of webhooks: who may have one, where it may be, and how its secrets are kept.

use ecomm::grpc::pb;
use serde_json::{Value, json};
use tonic::Code;

use crate::app::{self, App, Client, PASSWORD, journal, sqlite};
use crate::both_apis::{channel, with};
use crate::console::Browser;
use crate::endpoints::{HERE, endpoint, own, pass, patch, requests, sent_to};
use crate::harness::tests;
use crate::mail_apis::server::{Act, Server, answer};
use crate::remote::Operator;
use crate::tls;

tests! {
    once {
        a_secret_is_replaced_without_a_gap
        other_secrets_of_the_hosts_seal_those_of_endpoints_anew
        private_networks_are_out_of_reach
        certificates_are_verified
        what_an_endpoint_may_be_is_checked
        grpc_and_the_command_line_do_the_same
        operators_keep_endpoints_in_the_console
    }
}

async fn a_secret_is_replaced_without_a_gap() {
    let (app, server) = (App::with(sqlite().await, &[HERE]).await, Server::start().await);
    let (id, first) = own(&app, &server).await;
    let path = format!("/v1/webhook-endpoints/{id}");
    let rotated = app.client.ok("POST", &format!("{path}/secret"), &app.customer, None).await;
    let second = rotated["secret"].as_str().unwrap();
    let versions: Vec<_> =
        rotated["endpoint"]["secrets"].as_array().unwrap().iter().map(|s| s["version"].clone()).collect();
    assert_eq!(versions, [2, 1]);
    let tested = app.client.ok("POST", &format!("{path}/test"), &app.customer, None).await;
    let (status, _) = app.client.call("POST", &format!("{path}/test"), &app.customer, None).await;
    assert_eq!(status, 409, "one at a time");
    app.drain().await;
    pass(&app, 25 * 3_600_000).await;
    app.client.ok("POST", &format!("{path}/test"), &app.customer, None).await;
    app.drain().await;
    let requests = requests(&server);
    assert_eq!(requests[0].event()["data"], json!({ "endpoint_id": id }));
    assert_eq!(requests[0].signed_by(&[&first, second]), [true, true]);
    assert_eq!(requests[1].signed_by(&[&first, second]), [false, true]);
    let told = sent_to(&app, id).await;
    assert_eq!((&told[0]["id"], &told[0]["kind"]), (&tested["notification_id"], &json!("webhook.test")));
    assert!(told[0]["order_id"].is_null());
    let kept = app.database.texts("select secrets from webhook_endpoints").await.concat();
    for secret in [&first, second] {
        assert!(!kept.contains(secret.strip_prefix("whsec_").unwrap()), "a secret is stored as it is");
    }
    app.end().await;
}

async fn other_secrets_of_the_hosts_seal_those_of_endpoints_anew() {
    let (app, server) = (App::with(sqlite().await, &[HERE]).await, Server::start().await);
    let (id, secret) = own(&app, &server).await;
    let database = app.end_keeping().await;
    let settings = |secret: &str, retired: &[&str]| {
        let mut config = ecomm::config::Config::load(None, app::environment(&database, &[HERE])).unwrap();
        config.auth.secret = secret.into();
        config.auth.retired_secrets = retired.iter().map(|s| (*s).into()).collect();
        config
    };
    let second = "another secret for tests, and long enough";
    for retired in [&[app::SECRET][..], &[]] {
        let roles = ecomm::host::Roles { worker: false, ..ecomm::host::Roles::ALL };
        let clock = ecomm::clock::Clock::system();
        let host = Box::pin(ecomm::host::Host::start(settings(second, retired), roles, clock)).await.unwrap();
        let client = Client::new(host.http.unwrap());
        let token = client.log_in("ada@example.com").await;
        client.ok("POST", &format!("/v1/webhook-endpoints/{id}/test"), &token, None).await;
        host.queue.run_until_idle().await;
        host.stop().await;
    }
    let requests = requests(&server);
    assert_eq!(requests.iter().map(|r| r.signed_by(&[&secret])).collect::<Vec<_>>(), [[true], [true]]);
}

async fn private_networks_are_out_of_reach() {
    let (app, server) = (App::start(sqlite().await).await, Server::start().await);
    for bad in ["http://hooks.example/", "https://ada@hooks.example/", "https://hooks.example/#x"] {
        let (status, problem) =
            app.client.call("POST", "/v1/webhook-endpoints", &app.customer, Some(json!({ "url": bad }))).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/url")), "{bad}: {problem}");
    }
    // Names that lead there are found out when they are looked up.
    for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let url = format!("https://{host}:{}/", server.port);
        let (id, _) = endpoint(&app, &app.customer, json!({ "url": url })).await;
        app.client.ok("POST", &format!("/v1/webhook-endpoints/{id}/test"), &app.customer, None).await;
        app.drain().await;
        let told = sent_to(&app, id).await;
        assert_eq!(journal(&told[0]), ["send connect not-handed-over - give-up"], "{host}");
        assert_eq!(told[0]["journal"][0]["reply"], "its name leads to no address of the public internet", "{host}");
    }
    assert_eq!(server.connections(), 0);
    app.end().await;
}

async fn certificates_are_verified() {
    let server = Server::start().await;
    let (pem, port) = tls::before(([127, 0, 0, 1], server.port).into(), &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, pem).unwrap();
    let trusting = [HERE, ("WEBHOOKS__CA_PATH", authority.to_str().unwrap())];
    for (more, host, expected) in [
        (&trusting[..], "localhost", "send body delivered 200 -"),
        (&trusting[..], "127.0.0.1", "send connect not-handed-over - retry"),
        (&[HERE][..], "localhost", "send connect not-handed-over - retry"),
    ] {
        let app = App::with(sqlite().await, more).await;
        let url = format!("https://{host}:{port}/");
        let (id, _) = endpoint(&app, &app.customer, json!({ "url": url })).await;
        app.order().await;
        app.drain().await;
        assert_eq!(journal(&sent_to(&app, id).await[0]), [expected], "{host}");
        app.end().await;
    }
    assert_eq!(server.requests().len(), 1);
}

async fn what_an_endpoint_may_be_is_checked() {
    let more = [HERE, ("WEBHOOKS__ENDPOINTS_PER_USER_MAX", "2"), ("WEBHOOKS__ENDPOINTS_OF_SHOP_MAX", "1")];
    let app = App::with(sqlite().await, &more).await;
    let url = json!("https://hooks.example/");
    let refused = async |token: &str, new: Value| {
        let (status, problem) = app.client.call("POST", "/v1/webhook-endpoints", token, Some(new)).await;
        (status.as_u16(), problem["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned())
    };
    let said = |status: u16, pointer: &str| (status, pointer.to_owned());
    assert_eq!(refused(&app.customer, json!({ "url": url, "orders": "all" })).await, said(403, ""));
    assert_eq!(refused("", json!({ "url": url })).await, said(401, ""));
    assert_eq!(refused(&app.customer, json!({ "url": url, "kinds": ["account.closed"] })).await, said(422, "/kinds"));
    assert_eq!(refused(&app.customer, json!({ "url": "hooks.example" })).await, said(422, "/url"));
    assert_eq!(refused(&app.customer, json!({ "url": url, "secret": "x" })).await.0, 422);
    let (id, _) = endpoint(&app, &app.customer, json!({ "url": url })).await;
    endpoint(&app, &app.customer, json!({ "url": url })).await;
    assert_eq!(refused(&app.customer, json!({ "url": url })).await, said(409, ""));
    let (shops, _) = endpoint(&app, &app.admin, json!({ "url": url, "orders": "all" })).await;
    assert_eq!(refused(&app.admin, json!({ "url": url, "orders": "all" })).await, said(409, ""));
    let mine = app.client.ok("GET", "/v1/webhook-endpoints", &app.customer, None).await;
    assert_eq!(mine["items"].as_array().unwrap().len(), 2);
    let all = app.client.ok("GET", "/v1/webhook-endpoints", &app.admin, None).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 3);
    for (method, act) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/secret"), ("POST", "/test")] {
        let path = format!("/v1/webhook-endpoints/{shops}{act}");
        let body = (method == "PATCH").then(|| json!({ "state": "paused" }));
        assert_eq!(app.client.call(method, &path, &app.customer, body).await.0, 404, "{method} {act}");
    }
    let path = format!("/v1/webhook-endpoints/{id}");
    for (change, pointer) in [
        (json!({ "state": "disabled" }), "/state"),
        (json!({ "state": null }), ""),
        (json!({ "url": null }), ""),
        (json!({ "kinds": ["x"] }), "/kinds"),
        (json!({ "secrets": [] }), "/secrets"),
    ] {
        let (status, problem) = app.client.call("PATCH", &path, &app.customer, Some(change.clone())).await;
        assert_eq!(status, 422, "{change}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{change}");
    }
    let cleared = patch(&app, id, json!({ "description": null, "kinds": ["order.shipped"] })).await;
    assert_eq!((&cleared["kinds"], &cleared["version"]), (&json!(["order.shipped"]), &json!(2)));
    let stale = app.client.with(("PATCH", &path), &app.customer, &[("if-match", "\"1\"")], Some(json!({}))).await;
    assert_eq!(stale.0, 412);
    assert_eq!(app.client.call("DELETE", &path, &app.customer, None).await.0, 204);
    endpoint(&app, &app.customer, json!({ "url": url })).await;
    app.end().await;
    let app = App::with(sqlite().await, &[("WEBHOOKS__FOR_CUSTOMERS", "false")]).await;
    let (status, _) =
        app.client.call("POST", "/v1/webhook-endpoints", &app.customer, Some(json!({ "url": url }))).await;
    assert_eq!(status, 403);
    endpoint(&app, &app.admin, json!({ "url": url, "orders": "all" })).await;
    app.end().await;
}

async fn grpc_and_the_command_line_do_the_same() {
    let (app, server) = (App::with(sqlite().await, &[HERE]).await, Server::start().await);
    let mut calls = pb::webhook_service_client::WebhookServiceClient::new(channel(&app).await);
    let url = format!("http://127.0.0.1:{}/", server.port);
    let new = pb::CreateWebhookEndpointRequest {
        url: url.clone(),
        description: "the warehouse".to_owned(),
        kinds: vec!["order.placed".to_owned()],
        ..Default::default()
    };
    let made = calls.create_webhook_endpoint(with(&app.customer, new.clone())).await.unwrap().into_inner();
    let (secret, made) = (made.secret, made.webhook_endpoint.unwrap());
    let rest = app.client.ok("GET", &format!("/v1/webhook-endpoints/{}", made.id), &app.customer, None).await;
    assert_eq!((&rest["description"], &rest["kinds"]), (&json!("the warehouse"), &json!(["order.placed"])));
    assert_eq!((rest["user_id"].as_i64(), made.state.as_str()), (made.user_id, "active"));
    let all = pb::CreateWebhookEndpointRequest { orders: "all".to_owned(), ..new.clone() };
    let refused = calls.create_webhook_endpoint(with(&app.customer, all)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for (new, field) in [
        (pb::CreateWebhookEndpointRequest { url: "x".to_owned(), ..new.clone() }, "url"),
        (pb::CreateWebhookEndpointRequest { kinds: vec!["x".to_owned()], ..new.clone() }, "kinds"),
        (pb::CreateWebhookEndpointRequest { orders: "some".to_owned(), ..new.clone() }, "orders"),
    ] {
        let refused = calls.create_webhook_endpoint(with(&app.customer, new)).await.unwrap_err();
        assert!(refused.code() == Code::InvalidArgument && refused.message().contains(field), "{refused}");
    }
    let change = pb::UpdateWebhookEndpointRequest {
        id: made.id,
        kinds: Some(pb::WebhookKinds { kinds: Vec::new() }),
        etag: made.etag.clone(),
        ..Default::default()
    };
    let changed = calls.update_webhook_endpoint(with(&app.customer, change.clone())).await.unwrap().into_inner();
    assert_eq!(changed.webhook_endpoint.unwrap().kinds, Vec::<String>::new());
    assert_eq!(calls.update_webhook_endpoint(with(&app.customer, change)).await.unwrap_err().code(), Code::Aborted);
    let id = pb::RotateWebhookSecretRequest { id: made.id };
    let rotated = calls.rotate_webhook_secret(with(&app.customer, id)).await.unwrap().into_inner();
    let id = pb::TestWebhookEndpointRequest { id: made.id };
    let tested = calls.test_webhook_endpoint(with(&app.customer, id)).await.unwrap().into_inner();
    app.drain().await;
    let told = requests(&server);
    assert_eq!(told[0].signed_by(&[&secret, &rotated.secret]), [true, true]);
    assert_eq!(sent_to(&app, made.id).await[0]["id"], tested.notification_id);

    let operator = Operator::of(&app);
    assert!(operator.log_in("admin@shop.example", PASSWORD).await.0);
    let added = operator.json(&["webhook", "add", &url, "--kind", "order.shipped"]).await;
    assert_eq!((&added["endpoint"]["user_id"], &added["endpoint"]["kinds"]), (&json!(null), &json!(["order.shipped"])));
    assert!(added["secret"].as_str().unwrap().starts_with("whsec_"));
    let (id, listed) = (added["endpoint"]["id"].to_string(), operator.json(&["webhook", "ls"]).await);
    let rest = app.client.ok("GET", "/v1/webhook-endpoints", &app.admin, None).await;
    assert_eq!(listed, rest["items"]);
    assert!(operator.ok(&["webhook", "pause", &id]).await.contains("paused"));
    assert!(operator.refused(&["webhook", "test", &id], &[]).await.contains("the endpoint is paused"));
    assert!(operator.ok(&["webhook", "resume", &id]).await.contains("active"));
    assert!(operator.ok(&["webhook", "rotate", &id]).await.contains("whsec_"));
    assert!(operator.ok(&["webhook", "test", &id]).await.contains("is queued"));
    let bad = operator.refused(&["webhook", "add", &url, "--kind", "order.lost"], &[]).await;
    assert!(bad.contains("\"order.lost\" is none of: order.placed"), "{bad}");
    operator.ok(&["webhook", "rm", &id]).await;
    assert!(operator.refused(&["webhook", "rm", &id], &[]).await.contains("there is no such webhook endpoint"));
    app.drain().await;
    let path = format!("/v1/notifications?endpoint_id={id}");
    let told = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!(told["items"][0]["reason"], "its endpoint was deleted");
    let delete = pb::DeleteWebhookEndpointRequest { id: made.id, etag: String::new() };
    calls.delete_webhook_endpoint(with(&app.customer, delete.clone())).await.unwrap();
    assert_eq!(calls.delete_webhook_endpoint(with(&app.customer, delete)).await.unwrap_err().code(), Code::NotFound);
    app.end().await;
}

async fn operators_keep_endpoints_in_the_console() {
    let (app, server) = (App::with(sqlite().await, &[HERE]).await, Server::start().await);
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let fields = [("url", url.as_str()), ("description", "the <b>ERP</b>"), ("kind:order.placed", "on")];
    let made = admin.act("/console/webhooks", &fields).await;
    assert!(made.text.contains("shown this once") && made.text.contains("whsec_"), "{}", made.text);
    assert!(made.text.contains("the &lt;b&gt;ERP&lt;/b&gt;") && made.text.contains("order.placed"));
    let page = admin.get("/console/webhooks").await.text;
    assert!(page.contains(&url) && !page.contains("whsec_"), "{page}");
    assert!(admin.act("/console/webhooks/1/pause", &[]).await.text.contains("paused, by user 1"));
    app.order().await;
    app.drain().await;
    assert_eq!(server.requests().len(), 0);
    assert!(admin.act("/console/webhooks/1/resume", &[]).await.text.contains("active"));
    server.then(Act::Answer(answer(410, "moved <away>")));
    app.drain().await;
    let shown = admin.get("/console/webhooks/1").await.text;
    assert!(shown.contains("disabled") && shown.contains("it answered 410"), "{shown}");
    admin.act("/console/webhooks/1/resume", &[]).await;
    let failed = admin.get("/console/notifications?endpoint=1&state=failed").await.text;
    assert!(failed.contains("for endpoint 1") && failed.contains("Try all again"), "{failed}");
    assert!(admin.act("/console/notifications/2/retry", &[]).await.text.contains("not sent"));
    app.drain().await;
    let sent = admin.get("/console/notifications/2").await.text;
    assert!(sent.contains("Send again") && !sent.contains("The mail"), "{sent}");
    admin.act("/console/notifications/2/retry", &[]).await;
    app.drain().await;
    assert_eq!(server.requests().len(), 3);
    assert!(admin.act("/console/webhooks/1/rotate", &[]).await.text.contains("whsec_"));
    assert_eq!(admin.act("/console/webhooks/1/nonsense", &[]).await.status, 404);
    let bad = admin.act("/console/webhooks", &[("url", "hooks.example")]).await;
    assert_eq!(bad.status, 422);
    assert!(!admin.act("/console/webhooks/1/delete", &[]).await.text.contains(&url));
    let audit = admin.get("/console/audit").await.text;
    for act in ["create-webhook", "pause-webhook", "rotate-webhook-secret", "delete-webhook"] {
        assert!(audit.contains(act), "{act}");
    }
    app.end().await;
}
