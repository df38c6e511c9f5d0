//! What the plugin contract promises beyond a mail and a decision: descriptions, whole notifications, variants, merged
//! changes, urgent holds, and what a later contract may answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::app::{App, sqlite};
use crate::database::Database;
use crate::harness::tests;

tests! {
    once {
        a_component_describes_itself
        a_config_that_does_not_fit_the_schema_is_refused_by_its_place
        a_policy_can_ask_for_the_whole_notification
        an_urgent_hold_is_on_record
        what_a_later_contract_may_answer_is_refused
        merging_with_nothing_is_refused
        every_field_says_what_it_is
        the_host_helps_with_what_depends_on_the_language
        what_was_built_for_a_later_contract_is_refused_in_words
        an_optional_interface_of_other_types_is_refused
    }
    on_each_database {
        a_variant_is_on_record_and_reproduced
        queued_changes_become_one_mail
        a_merged_change_follows_the_customer
    }
}

async fn install(app: &App, new: Value) -> i64 {
    app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap()
}

async fn serve(app: &App, revision: i64) {
    let path = format!("/v1/plugins/revisions/{revision}/stage");
    app.client.ok("POST", &path, &app.admin, Some(json!({ "stage": "active" }))).await;
}

/// Why a revision is refused.
async fn refusal(app: &App, new: Value) -> String {
    let (status, problem) = app.client.call("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await;
    assert_eq!(status.as_u16(), 422);
    problem["detail"].as_str().unwrap().to_owned()
}

/// Places an order, and works on it; what became of its notification.
async fn delivered(app: &App) -> Value {
    let order = app.order().await;
    app.drain().await;
    app.notifications(order).await[0].clone()
}

/// Puts the guest that does what `config` says into a slot; it behaves on the gate's fixtures.
async fn activate(app: &App, slot: &str, mut config: Value) -> i64 {
    config["spare_order"] = json!("4242424242");
    let digest = crate::stages::upload(app, std::fs::read(env!("MISBEHAVING_WASM")).unwrap()).await;
    let revision = install(app, json!({ "slot": slot, "digest": digest, "config": config })).await;
    serve(app, revision).await;
    revision
}

/// What is on record of a call whose answer could not be used.
fn fault(notification: &Value, call: &str) -> String {
    let is_it = |e: &&Value| e["kind"] == "fault" && e["phase"] == call && e["class"] == "bad_output";
    let entry = notification["journal"].as_array().unwrap().iter().find(is_it);
    entry.unwrap_or_else(|| panic!("{notification}"))["reply"].as_str().unwrap().to_owned()
}

async fn a_component_describes_itself() {
    let app = App::start(sqlite().await).await;
    let revisions = app.client.ok("GET", "/v1/plugins/revisions", &app.admin, None).await;
    let manifest = |slot: &str| {
        let revision = revisions["items"].as_array().unwrap().iter().find(|r| r["slot"] == slot).unwrap();
        revision["report"]["manifest"].clone()
    };
    let (renderer, policy) = (manifest("renderer"), manifest("policy"));
    assert_eq!((&renderer["name"], &policy["name"]), (&json!("default-renderer"), &json!("default-policy")));
    let locales = ["en", "ar", "de", "es", "fr", "it", "ja", "nl", "pl", "pt", "pt-br", "sv", "zh"];
    assert_eq!(renderer["locales"], json!(locales));
    let schema: Value = serde_json::from_str(policy["config_schema"].as_str().unwrap()).unwrap();
    assert_eq!(schema["properties"]["attempts_max"]["default"], 3);
    app.end().await;
}

async fn a_config_that_does_not_fit_the_schema_is_refused_by_its_place() {
    let app = App::start(sqlite().await).await;
    for (config, place) in [
        (json!({ "quiet_hours": { "from": 24, "until": 7 } }), "/quiet_hours/from"),
        (json!({ "backoff_max_ms": 1_000, "backoff_first_ms": 2_000 }), "/backoff_max_ms"),
        (json!({ "ab_variants": ["a", 1] }), "/ab_variants/1"),
    ] {
        let why = refusal(&app, json!({ "slot": "policy", "config": config })).await;
        assert!(why.contains(place), "{why}");
    }
    app.end().await;
}

async fn a_policy_can_ask_for_the_whole_notification() {
    let app = App::start(sqlite().await).await;
    activate(&app, "policy", json!({ "admit": "whole" })).await;
    let notification = delivered(&app).await;
    let expected = format!("order.placed: 1 and 1 lines, for {}", notification["message_id"].as_str().unwrap());
    assert_eq!((&notification["state"], &notification["reason"]), (&json!("skipped"), &json!(expected)));
    app.end().await;
}

async fn an_urgent_hold_is_on_record() {
    let app = App::start(sqlite().await).await;
    activate(&app, "policy", json!({ "admit": "hold_urgent" })).await;
    let notification = delivered(&app).await;
    assert_eq!((&notification["state"], &notification["reason"]), (&json!("held"), &json!("held as asked")));
    assert_eq!(notification["journal"][0]["verdict"], "hold-urgent");
    app.end().await;
}

async fn what_a_later_contract_may_answer_is_refused() {
    let app = App::start(sqlite().await).await;
    for (slot, config, call, said) in [
        ("policy", json!({ "admit": "other" }), "admit", "this host knows no admission \"escalate\""),
        ("policy", json!({ "admit": "attribute" }), "admit", "this host knows no attribute \"later\" of a sending"),
        ("renderer", json!({ "render": "attribute" }), "render", "this host knows no attribute \"later\" of an email"),
    ] {
        activate(&app, slot, config).await;
        let notification = delivered(&app).await;
        assert_eq!(notification["state"], "sent", "{notification}");
        assert!(fault(&notification, call).contains(said), "{notification}");
    }
    app.end().await;
}

async fn merging_with_nothing_is_refused() {
    let app = App::start(sqlite().await).await;
    activate(&app, "policy", json!({ "admit": "merge" })).await;
    let notification = delivered(&app).await;
    assert_eq!(notification["state"], "sent", "{notification}");
    assert!(fault(&notification, "admit").contains("merges with the next change, and none is queued"));
    app.end().await;
}

async fn a_variant_is_on_record_and_reproduced(database: Database) {
    let app = App::start(database).await;
    let policy = json!({ "slot": "policy", "config": { "ab_variants": ["merry"] } });
    let merry = json!({ "en": { "order.placed@merry": { "subject": "Hurrah: order { $number }!" } } });
    let renderer = json!({ "slot": "renderer", "config": { "messages": merry } });
    for new in [policy, renderer] {
        let revision = install(&app, new).await;
        serve(&app, revision).await;
    }
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.subjects(), [format!("Hurrah: order {order}!")]);
    let mail = crate::app::text(&app.mailbox.messages()[0]);
    assert!(mail.contains("\r\nThank you for your order, Ada Lovelace!\r\n"), "the headline is not in {mail}");
    let notification = app.notifications(order).await[0].clone();
    assert_eq!(notification["journal"][0]["ab_variant"], "merry");
    let path = format!("/v1/notifications/{}/reproduction", notification["id"]);
    assert_eq!(app.client.ok("GET", &path, &app.admin, None).await["is_same"], true);
    app.end().await;
}

/// Three changes that wait are one mail, which tells the other two; they are skipped, and say where they went.
async fn queued_changes_become_one_mail(database: Database) {
    let app = App::start(database).await;
    let revision = install(&app, json!({ "slot": "policy", "config": { "merge_queued": true } })).await;
    serve(&app, revision).await;
    let order = app.order().await;
    app.change(order, "shipped").await;
    app.change(order, "delivered").await;
    app.drain().await;
    let notifications = app.notifications(order).await;
    let states: Vec<_> = notifications.as_array().unwrap().iter().map(|n| n["state"].clone()).collect();
    assert_eq!(states, ["skipped", "skipped", "sent"]);
    for (merged, next) in [(0, 1), (1, 2)] {
        let reason = format!("merged into notification {}", notifications[next]["id"]);
        assert_eq!(notifications[merged]["reason"], json!(reason));
        assert_eq!(notifications[merged]["journal"][0]["verdict"], "merge");
    }
    assert_eq!(app.subjects(), [format!("Order {order} has arrived")]);
    let mail = crate::app::text(&app.mailbox.messages()[0]);
    for told in [format!("Your order {order} at My Shop"), format!("Order {order} is on its way")] {
        assert!(mail.contains(&told), "{told} is not in {mail}");
    }
    app.end().await;
}

/// What was merged is still there when the customer's address changes.
async fn a_merged_change_follows_the_customer(database: Database) {
    let app = App::start(database).await;
    let config = json!({ "admit": "merge_if_queued" });
    activate(&app, "policy", config).await;
    let order = app.order().await;
    app.change(order, "shipped").await;
    let first = crate::store::claim(&app, 1).await.remove(0);
    let merge = crate::store::finish(&first, ecomm::notification::Transition::Merge);
    assert_eq!(app.host.service.store.finish(&[merge]).await.unwrap(), [true]);
    let patch = json!({ "email": "countess@example.com", "current_password": crate::app::PASSWORD });
    app.client.ok("PATCH", "/v1/users/2", &app.customer, Some(patch)).await;
    app.drain().await;
    let mail = app.mailbox.messages()[0].clone();
    assert!(crate::app::text(&mail).contains(&format!("Your order {order} at My Shop")), "{}", mail.subject);
    assert_eq!(mail.to, "countess@example.com");
    app.end().await;
}

async fn the_host_helps_with_what_depends_on_the_language() {
    let app = App::start(sqlite().await).await;
    activate(&app, "renderer", json!({ "render": "helpers" })).await;
    app.order().await;
    app.drain().await;
    let subject = app.subjects().remove(0);
    let (said, token) = subject.rsplit_once(" | ").unwrap();
    let words = "€1,234.56 | 12,345.6 | Oct 25, 2025 | 12:30 AM | &lt;a&gt; and b | \
                 PluralCategory::One false Some(1761345000000)";
    assert_eq!(said.replace('\u{202f}', " "), words);
    let secret = ecomm::config::Config::load(None, crate::app::environment(&app.database, &[])).unwrap().auth.secret;
    let key = ecomm::plugin::format::link_key(secret.expose_secret().as_bytes(), "unsubscribe");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(b"7");
    assert_eq!(token, URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    app.end().await;
}

/// A component of a world whose contract is not this host's.
fn of_changed_contract(of: &str, change: impl Fn(String) -> String) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v1");
    let mut resolve = wit_parser::Resolve::default();
    let mut group = Vec::new();
    for name in ["types", "plugin", "renderer", "event", "log", "policy", "reports", "worlds"] {
        group.push(change(std::fs::read_to_string(folder.join(name).with_extension("wit")).unwrap()));
    }
    let format = std::fs::read_to_string(folder.join("deps/format/format.wit")).unwrap();
    resolve.push_str("format.wit", &format).unwrap();
    let package = resolve.push_str("later.wit", &group.concat()).unwrap();
    let world = resolve.select_world(&[package], Some(of)).unwrap();
    let mangling = wit_parser::ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync);
    let mut module = wit_component::dummy_module(&resolve, world, mangling);
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    let encoder = wit_component::ComponentEncoder::default().module(&module).unwrap();
    encoder.validate(true).encode().unwrap()
}

async fn what_was_built_for_a_later_contract_is_refused_in_words() {
    let app = App::start(sqlite().await).await;
    let later = |text: String| text.replace("notification@1.0.0", "notification@1.1.0");
    let more_functions = of_changed_contract("renderer-plugin", |text| {
        later(text).replace("interface log {", "interface log {\n  flush: func();\n")
    });
    let more_interfaces = of_changed_contract("renderer-plugin", |text| {
        let world = "world renderer-plugin {";
        let text = later(text).replace(world, &format!("{world}\n  import extra;"));
        text.replace("interface log {", "interface extra { more: func() -> u32; }\ninterface log {")
    });
    for (wasm, words) in [
        (
            more_functions,
            "needs the function \"flush\" of ecomm:notification/log@1.1.0; this host offers ecomm:notification@1.0.0",
        ),
        (more_interfaces, "imports \"ecomm:notification/extra@1.1.0\", which this host does not offer; it offers"),
    ] {
        let digest = crate::stages::upload(&app, wasm).await;
        let why = refusal(&app, json!({ "slot": "renderer", "digest": digest })).await;
        assert!(why.contains(words), "{why}");
    }
    app.end().await;
}

/// An interface that a component need not export must be the contract's where it does.
async fn an_optional_interface_of_other_types_is_refused() {
    let app = App::start(sqlite().await).await;
    let change = |text: String| text.replace("resend(retrying),", "resend(string),");
    let wasm = of_changed_contract("reporting-policy-plugin", change);
    let digest = crate::stages::upload(&app, wasm).await;
    let why = refusal(&app, json!({ "slot": "policy", "digest": digest })).await;
    assert!(why.contains("type mismatch for case resend") && why.contains("this host offers"), "{why}");
    app.end().await;
}

/// Toolchains show authors the comments: each type, field, case and function has one.
async fn every_field_says_what_it_is() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v1");
    let mut without = Vec::new();
    let files = [folder.join("deps/format"), folder].map(|folder| std::fs::read_dir(folder).unwrap());
    for file in files.into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut before = "";
        for line in text.lines().map(str::trim) {
            let says = line.starts_with("///") || line.starts_with('}') || line.is_empty();
            let is_plumbing =
                ["package ", "use ", "import ", "export ", "include "].iter().any(|word| line.starts_with(word));
            if !says && !is_plumbing && !before.starts_with("///") {
                without.push(format!("{}: {line}", file.display()));
            }
            before = line;
        }
    }
    assert!(without.is_empty(), "{without:#?}");
}
