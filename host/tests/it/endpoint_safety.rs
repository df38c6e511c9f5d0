//! Endpoints of webhooks: who may have one, where it may be, and how its secrets are kept.

use serde_json::{Value, json};

use crate::app::{self, App, Client, journal, sqlite};
use crate::endpoints::{HERE, endpoint, own, pass, patch, requests, sent_to};
use crate::harness::tests;
use crate::mail_apis::server::Server;
use crate::tls;

tests! {
    once {
        a_secret_is_replaced_without_a_gap
        other_secrets_of_the_hosts_seal_those_of_endpoints_anew
        private_networks_are_out_of_reach
        certificates_are_verified
        what_an_endpoint_may_be_is_checked
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
        assert_eq!(journal(&told[0]), ["send connect not-handed-over - retry"], "{host}");
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
    app.client.call("DELETE", &path, &app.customer, None).await;
    endpoint(&app, &app.customer, json!({ "url": url })).await;
    app.end().await;
    let app = App::with(sqlite().await, &[("WEBHOOKS__FOR_CUSTOMERS", "false")]).await;
    let (status, _) =
        app.client.call("POST", "/v1/webhook-endpoints", &app.customer, Some(json!({ "url": url }))).await;
    assert_eq!(status, 403);
    endpoint(&app, &app.admin, json!({ "url": url, "orders": "all" })).await;
    app.end().await;
}
