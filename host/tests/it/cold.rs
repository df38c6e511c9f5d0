//! A host that starts while what serves is still to be compiled, or cannot be.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use serde_json::json;

use crate::app::{App, Client, environment, eventually, sqlite};
use crate::database::Database;
use crate::harness::tests;

tests! {
    once {
        mails_wait_for_what_is_compiled_and_the_apis_do_not
        the_built_in_stands_in_when_the_settings_say_so
        what_cannot_be_prepared_is_said_and_stood_in_for
    }
}

/// A compiler that does not begin before the file is there.
fn held_compiler(folder: &Path) -> (String, std::path::PathBuf) {
    let (script, go) = (folder.join("compiler"), folder.join("go"));
    let text = format!(
        "#!/bin/sh\nwhile [ ! -e {} ]; do /bin/sleep 0.05; done\nexec {} \"$@\"\n",
        go.display(),
        env!("CARGO_BIN_EXE_ecomm")
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    (script.display().to_string(), go)
}

/// A database in which a revision with a config of its own serves, and a cache that knows the built-ins only.
async fn staged() -> (Database, i64) {
    let database = sqlite().await;
    let cache = database.folder.path().join("cache");
    let (all, some) = (cache.join("all").display().to_string(), cache.join("some"));
    let app = App::with(database, &[("PLUGINS__CACHE_PATH", &all)]).await;
    std::fs::create_dir_all(&some).unwrap();
    for file in std::fs::read_dir(&all).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), some.join(file.file_name())).unwrap();
    }
    let new = json!({ "slot": "renderer", "config": { "from_name": "Chosen" } });
    let id = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    let path = format!("/v1/plugins/revisions/{id}/stage");
    app.client.ok("POST", &path, &app.admin, Some(json!({ "stage": "active" }))).await;
    app.order().await;
    (app.end_keeping().await, id)
}

async fn start(database: &Database, more: &[(&str, &str)]) -> Host {
    let cache = database.folder.path().join("cache").join("some").display().to_string();
    let more = [&[("PLUGINS__CACHE_PATH", cache.as_str())], more].concat();
    Host::start(Config::load(None, environment(database, &more)).unwrap(), Roles::ALL, Clock::system()).await.unwrap()
}

fn names(host: &Host) -> Vec<String> {
    let mails = host.service.mailbox.as_ref().unwrap().messages();
    let from = |mail| crate::app::text(&mail).lines().find(|l| l.starts_with("From: ")).unwrap().to_owned();
    mails.into_iter().map(from).collect()
}

async fn mails_wait_for_what_is_compiled_and_the_apis_do_not() {
    let (database, id) = staged().await;
    let (compiler, go) = held_compiler(database.folder.path());
    let mut host = start(&database, &[("PLUGINS__COMPILER__PROGRAM", &compiler)]).await;
    let client = Client::new(host.http.unwrap());
    let ready = client.ok("GET", "/readyz", "", None).await;
    let expected = json!({ "slot": "renderer", "revision": id, "state": "preparing", "detail": "" });
    assert_eq!(ready["preparing"], json!([expected]));
    client.log_in("ada@example.com").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(names(&host).is_empty(), "mails wait for the revision that is to write them");
    std::fs::write(go, "").unwrap();
    assert!(host.prepared().await.is_empty());
    assert_eq!(client.ok("GET", "/readyz", "", None).await["preparing"], json!([]));
    eventually("the mail", async || !names(&host).is_empty()).await;
    assert!(names(&host)[0].contains("Chosen"), "{:?}", names(&host));
    host.stop().await;
}

async fn the_built_in_stands_in_when_the_settings_say_so() {
    let (database, _) = staged().await;
    let (compiler, _) = held_compiler(database.folder.path());
    let settings = [("PLUGINS__COMPILER__PROGRAM", compiler.as_str()), ("PLUGINS__COLD_START", "stand-in")];
    let host = start(&database, &settings).await;
    eventually("the mail", async || !names(&host).is_empty()).await;
    assert!(names(&host)[0].contains("My Shop"), "{:?}", names(&host));
    // Whatever is compiled does not keep the host from ending.
    tokio::time::timeout(Duration::from_secs(20), host.stop()).await.unwrap();
}

async fn what_cannot_be_prepared_is_said_and_stood_in_for() {
    let (database, id) = staged().await;
    database.execute("update plugin_revisions set config = '{\"nobody_knows\": 1}' where slot = 'renderer'").await;
    let mut host = start(&database, &[]).await;
    assert_eq!(host.prepared().await.len(), 1);
    let client = Client::new(host.http.unwrap());
    let preparing = client.ok("GET", "/readyz", "", None).await["preparing"][0].clone();
    assert_eq!((&preparing["state"], &preparing["revision"]), (&json!("failed"), &json!(id)));
    assert!(preparing["detail"].as_str().unwrap().contains("nobody_knows"), "{preparing}");
    let admin = client.log_in("admin@shop.example").await;
    let slots = client.ok("GET", "/v1/plugins", &admin, None).await;
    assert_eq!(slots[0]["preparation"]["state"], json!("failed"));
    eventually("the mail", async || !names(&host).is_empty()).await;
    assert!(names(&host)[0].contains("My Shop"), "{:?}", names(&host));
    host.stop().await;
}
