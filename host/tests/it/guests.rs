//! Components of each language's toolchain, as `.ci/examples` makes them: taken in, and under load.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ecomm::notification::{Notification, OrderStatus, Payload, QueuedChange, Relay, Situation};
use ecomm::plugin::Code;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::app::{App, sqlite, text};
use crate::harness;

/// Where the components are.
const FOLDER: &str = "ECOMM_TEST_GUESTS";

pub fn tests() -> Vec<Trial> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let trial = |name: String, run: fn(PathBuf) -> LocalBoxFuture<'static, ()>, file: String| {
        let Some(folder) = folder.clone() else {
            return harness::lacking(name, format!("{FOLDER} is not set"));
        };
        harness::trial(&name, move || harness::run(2, run(folder.join(&file))))
    };
    let renderers = ["c", "go", "js", "python", "rust", "ts"].map(|language| {
        let name = format!("guests::renders_under_load::{language}");
        trial(name, |file| renders_under_load(file).boxed_local(), format!("{language}-renderer/build/plugin.wasm"))
    });
    let decides = "guests::decides_as_the_built_in_does::ts".to_owned();
    let policy = trial(
        decides,
        |file| decides_as_the_built_in_does(file).boxed_local(),
        "ts-policy/build/plugin.wasm".to_owned(),
    );
    renderers.into_iter().chain([policy]).collect()
}

/// Goes through a registry where there is one, through the gate and to work, and writes each of many mails itself, as many
/// at once as may run.
async fn renders_under_load(file: PathBuf) {
    let more = [
        // The compiler of these tests is not optimised, and one of these components has 18 MB.
        ("PLUGINS__COMPILER__TIME_MS_MAX", "1800000"),
        ("PLUGINS__CALL__TIME_MS_MAX", "10000"),
    ];
    let app = App::with(sqlite().await, &more).await;
    let revision = match std::env::var(crate::registries::OPEN) {
        Ok(registry) => crate::registries::through(&registry, &app, &file, &more).await,
        Err(_) => install(&app, &file, "renderer", json!({})).await,
    };
    let path = format!("/v1/plugins/revisions/{revision}/stage");
    app.client.ok("POST", &path, &app.admin, Some(json!({ "stage": "active" }))).await;
    let mut orders = Vec::new();
    for _ in 0..40 {
        orders.push(app.order().await);
    }
    app.drain().await;
    for order in orders {
        let notification = app.notifications(order).await[0].clone();
        assert_eq!(notification["state"], "sent", "{notification}");
        assert_eq!(notification["journal"][0]["renderer_revision"], json!(revision), "{notification}");
    }
    assert!(app.subjects().iter().any(|subject| subject == "Order 1: pending"), "{:?}", app.subjects());
    let mail = text(&app.mailbox.messages()[0]);
    // By themselves, or by the host's helper.
    let is_told = |sum: &str| mail.contains(&format!("2 x Cup: {sum}")) && mail.contains(&format!("Total: {sum}"));
    assert!(is_told("39.98 USD") || is_told("$39.98"), "{mail}");
    assert!(mail.contains("Hello Ada Lovelace,") && mail.contains("My Shop"), "{mail}");
    let slots = app.client.ok("GET", "/v1/plugins", &app.admin, None).await;
    assert_eq!(slots[0]["active"]["counts"]["faults"], json!(0));
    app.end().await;
}

async fn install(app: &App, file: &Path, slot: &str, config: Value) -> Value {
    let wasm = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let digest = crate::stages::upload(app, wasm).await;
    let new = json!({ "slot": slot, "digest": digest, "config": config });
    let (status, mut operation) = crate::operations::begin(app, "/v1/plugins/revisions", new).await;
    assert_eq!(status, 202, "{operation}");
    let path = format!("/v1/plugins/operations/{}", operation["id"]);
    while operation["state"] == "running" {
        operation = app.client.ok("GET", &path, &app.admin, None).await;
    }
    assert_eq!(operation["state"], "succeeded", "{operation}");
    operation["revision"].clone()
}

/// Quiet hours in nights in which clocks change, a pause after a throttled reply, merged changes, variants, holds and relays
/// by country: the same plugin in two languages decides the same.
async fn decides_as_the_built_in_does(file: PathBuf) {
    let relay = |name: &str| format!(r#"{{ name = "{name}", host = "127.0.0.1", port = 9, tls = "none" }}"#);
    let relays = format!("[{}, {}]", relay("main"), relay("vienna"));
    let more = [("PLUGINS__COMPILER__TIME_MS_MAX", "1800000"), ("MAIL__RELAYS", relays.as_str())];
    let app = App::with(sqlite().await, &more).await;
    let config = json!({
        "quiet_hours": { "from": 22, "until": 7 }, "domain_pause_ms": 600_000, "merge_queued": true,
        "ab_variants": ["merry"], "hold_above": { "EUR": 5_500 }, "relays_by_country": { "GB": "vienna" },
    });
    let theirs = install(&app, &file, "policy", config.clone()).await.as_i64().unwrap();
    let new = json!({ "slot": "policy", "config": config });
    let ours = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    let plugins = &app.host.service.plugins;
    let (ours, theirs) = (plugins.prepared(ours).unwrap(), plugins.prepared(theirs).unwrap());
    let mut said = Vec::new();
    for (at, event, changes) in [
        ("2026-03-28T22:00:00Z", "order-placed", ""),
        ("2026-10-24T21:00:00Z", "order-placed", ""),
        ("2026-12-31T22:59:00Z", "account-verify-email", ""),
        ("2026-06-01T12:00:00Z", "order-placed", ""),
        ("2026-06-01T12:00:00Z", "order-placed", "throttled"),
        ("2026-06-01T12:00:00Z", "order-placed", "queued"),
        ("2026-06-01T12:00:00Z", "order-invoiced", ""),
        ("2026-06-01T12:00:00Z", "product-back-in-stock", ""),
    ] {
        let (n, s) = asked(at, event, changes);
        let (ours, _) = plugins.admit_by(Code::Live, &ours, &n, &s).await.unwrap();
        let (theirs, _) = plugins.admit_by(Code::Live, &theirs, &n, &s).await.unwrap();
        assert_eq!(ours, theirs, "{at} {event} {changes}");
        said.push(format!("{ours:?}"));
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
    Wait(25200000)
    Wait(32400000)
    Send(Sending { relay: None, ab_variant: Some("merry"), ignores_suppression: false })
    Send(Sending { relay: Some("vienna"), ab_variant: Some("merry"), ignores_suppression: false })
    Wait(400000)
    Merge
    Hold(Holding { reason: "order 4242424242 costs more than hold_above", urgent: false })
    Send(Sending { relay: None, ab_variant: Some("merry"), ignores_suppression: false })
    "#);
    app.end().await;
}

pub fn asked(at: &str, event: &str, changes: &str) -> (Arc<Notification>, Situation) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../plugins/events/{event}.json"));
    let payload = Payload::read(&std::fs::read_to_string(file).unwrap()).unwrap();
    let now = at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let relay = |name: &str| Relay { name: name.to_owned(), available: true };
    let change = QueuedChange { kind: "order.shipped".to_owned(), version: 2, queued_at: now };
    let situation = Situation {
        now,
        seed: 7,
        attempts: 0,
        attempts_max: 25,
        queued_at: now,
        first_failed_at: None,
        age_max_ms: 1,
        history: Vec::new(),
        relays: vec![relay("main"), relay("vienna")],
        domain_throttled_at: (changes == "throttled").then_some(now - 200_000),
        suppressed: None,
        channel: ecomm::notification::Channel::Mail,
        named_relay: None,
        newest_status: Some(OrderStatus::Pending),
        queued: if changes == "queued" { vec![change] } else { Vec::new() },
    };
    (Arc::new(Notification { id: 1, message_id: "1@shop.example".to_owned(), payload }), situation)
}
