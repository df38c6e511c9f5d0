//! Components of other languages' toolchains, as `plugins/examples/build` makes them: taken in, and under load.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::app::{App, sqlite, text};
use crate::harness;

/// Where the components are.
const FOLDER: &str = "ECOMM_TEST_GUESTS";

pub fn tests() -> Vec<Trial> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let trial = |language: &'static str| {
        let name = format!("guests::renders_under_load::{language}");
        let Some(folder) = folder.clone() else {
            // Where all is asked for, it is a failure.
            let is_ignored = std::env::var_os("ECOMM_TEST_ALL").is_none();
            return harness::missing(name, format!("{FOLDER} is not set"), is_ignored);
        };
        harness::trial(&name, move || harness::run(2, renders_under_load(folder.join(format!("{language}.wasm")))))
    };
    ["c", "go", "python", "ts"].into_iter().map(trial).collect()
}

/// Goes through the gate and to work, and writes each of many mails itself, as many at once as may run.
async fn renders_under_load(file: PathBuf) {
    let more = [
        // The compiler of these tests is not optimised, and one of these components has 18 MB.
        ("PLUGINS__COMPILER__TIME_MS_MAX", "1800000"),
        ("PLUGINS__CALL__TIME_MS_MAX", "10000"),
    ];
    let app = App::with(sqlite().await, &more).await;
    let revision = install(&app, &file).await;
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
    for words in ["Hello Ada Lovelace,", "2 x Cup: 39.98 USD", "Total: 39.98 USD", "My Shop"] {
        assert!(mail.contains(words), "{words} is not in {mail}");
    }
    let slots = app.client.ok("GET", "/v1/plugins", &app.admin, None).await;
    assert_eq!(slots[0]["active"]["counts"]["faults"], json!(0));
    app.end().await;
}

async fn install(app: &App, file: &Path) -> Value {
    let wasm = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let digest = crate::stages::upload(app, wasm).await;
    let new = json!({ "slot": "renderer", "digest": digest });
    let (status, mut operation) = crate::operations::begin(app, "/v1/plugins/revisions", new).await;
    assert_eq!(status, 202, "{operation}");
    let path = format!("/v1/plugins/operations/{}", operation["id"]);
    while operation["state"] == "running" {
        operation = app.client.ok("GET", &path, &app.admin, None).await;
    }
    assert_eq!(operation["state"], "succeeded", "{operation}");
    operation["revision"].clone()
}
