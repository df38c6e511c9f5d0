//! A host that starts while what serves is still to be compiled, or cannot be.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use ecomm::plugin::Candidate;
use ecomm::service::Slot;
use serde_json::json;

use crate::app::{App, Client, environment, eventually, sqlite};
use crate::database::Database;
use crate::harness::tests;

tests! {
    once {
        mails_wait_for_what_is_compiled_and_the_apis_do_not
        the_built_in_stands_in_when_the_settings_say_so
        what_cannot_be_prepared_is_said_and_stood_in_for
        nothing_is_compiled_twice
        code_that_someone_else_wrote_is_compiled_anew
        the_built_ins_are_compiled_as_the_gate_compiles
        what_passed_the_gate_is_not_tried_at_each_start
    }
}

/// A compiler that does not begin before the file is there.
pub fn held_compiler(folder: &Path) -> (String, std::path::PathBuf) {
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

/// A database in which a revision with a config of its own serves.
async fn staged() -> (Database, i64) {
    let database = sqlite().await;
    let cache = database.folder.path().join("cache").display().to_string();
    let app = App::with(database, &[("PLUGINS__CACHE_PATH", &cache)]).await;
    let new = json!({ "slot": "renderer", "config": { "from_name": "Chosen" } });
    let id = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    let path = format!("/v1/plugins/revisions/{id}/stage");
    app.client.ok("POST", &path, &app.admin, Some(json!({ "stage": "active" }))).await;
    app.order().await;
    (app.end_keeping().await, id)
}

/// A host whose folder has no compiled code yet, as in a new container.
async fn start(database: &Database, more: &[(&str, &str)]) -> Host {
    let more = [&[("PLUGINS__CACHE_PATH", "")], more].concat();
    Host::start(Config::load(None, environment(database, &more)).unwrap(), Roles::ALL, Clock::system()).await.unwrap()
}

/// The built-ins were compiled with the host, and what another host compiled is in the database.
async fn nothing_is_compiled_twice() {
    let database = sqlite().await;
    let none = [("PLUGINS__COMPILER__PROGRAM", "/nonexistent")];
    start(&database, &none).await.stop().await;
    let (database, _) = staged().await;
    let mut host = start(&database, &none).await;
    assert!(host.prepared().await.is_empty());
    writes_as(&host, "Chosen").await;
    host.stop().await;
}

/// Code in the database that no host with the secret wrote is not loaded, and does no harm.
async fn code_that_someone_else_wrote_is_compiled_anew() {
    let (database, _) = staged().await;
    assert!(database.number("select count(*) from plugin_code").await > 0);
    database.execute("update plugin_code set content = zeroblob(1000)").await;
    let mut host = start(&database, &[]).await;
    assert!(host.prepared().await.is_empty());
    writes_as(&host, "Chosen").await;
    host.stop().await;
}

/// What the build script makes of a built-in is what the gate makes of it.
async fn the_built_ins_are_compiled_as_the_gate_compiles() {
    let app = App::start(sqlite().await).await;
    let revisions = app.client.ok("GET", "/v1/plugins/revisions", &app.admin, None).await;
    for revision in revisions["items"].as_array().unwrap() {
        let shipped = &revision["report"];
        assert_eq!(shipped["cached"], true, "{shipped}");
        let slot = if revision["slot"] == "renderer" { Slot::Renderer } else { Slot::Policy };
        // White space makes another config of it, and so another way to the same code.
        let candidate = Candidate { config: "{} ".to_owned(), ..Candidate::built_in(slot) };
        let admitted = app.host.service.plugins.admit(candidate, &ecomm::plugin::Progress::default()).await.unwrap();
        let made = admitted.revision.report.making;
        assert_eq!(json!(made.code_bytes), shipped["making"]["code_bytes"]);
        assert_eq!(json!(made.live_code_bytes), shipped["making"]["live_code_bytes"]);
        assert!(0 < made.live_code_bytes && made.live_code_bytes < made.code_bytes, "counting takes room: {made:?}");
        // But for that white space, which is in the memory.
        let bytes = [made.snapshot_bytes.unwrap() as u64, shipped["making"]["snapshot_bytes"].as_u64().unwrap()];
        assert!(bytes[0].abs_diff(bytes[1]) < 16, "{bytes:?}");
    }
    app.end().await;
}

/// Of the same code with the same settings it is the same; times tell it apart.
async fn what_passed_the_gate_is_not_tried_at_each_start() {
    let (database, id) = staged().await;
    let cache = database.folder.path().join("cache");
    let trials = async |more: &[(&str, &str)]| {
        let folder = [("PLUGINS__CACHE_PATH", cache.to_str().unwrap())];
        let mut host = start(&database, &[&folder, more].concat()).await;
        assert!(host.prepared().await.is_empty());
        let plugins = host.service.plugins.clone();
        let builtin = plugins.routing().slot(Slot::Policy).active.report.trials.clone();
        let times = [builtin, plugins.prepared(id).unwrap().report.trials.clone()];
        host.stop().await;
        times.map(|trials| trials.iter().map(|trial| trial.time_us).collect::<Vec<_>>())
    };
    let first = trials(&[]).await;
    assert!(first.iter().all(|times| times.len() > 10));
    assert_eq!(trials(&[]).await, first);
    let [policy, renderer] = trials(&[("PLUGINS__CALL__TIME_MS_MAX", "4321")]).await;
    assert!(policy != first[0] && renderer != first[1], "what it is tried on has changed");
    let again = trials(&[("PLUGINS__CALL__TIME_MS_MAX", "4321")]).await;
    assert_eq!(again, [policy, renderer]);
    for file in std::fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "tried") {
            let text = [&[0; 32], &std::fs::read(&file).unwrap()[32..]].concat();
            std::fs::write(&file, text).unwrap();
        }
    }
    let forged = trials(&[("PLUGINS__CALL__TIME_MS_MAX", "4321")]).await;
    assert!(forged[0] != again[0] && forged[1] != again[1], "somebody else wrote it");
}

async fn writes_as(host: &Host, name: &str) {
    eventually("the mail", async || !names(host).is_empty()).await;
    assert!(names(host)[0].contains(name), "{:?}", names(host));
}

fn names(host: &Host) -> Vec<String> {
    let mails = host.service.mailbox.as_ref().unwrap().messages();
    let from = |mail| crate::app::text(&mail).lines().find(|l| l.starts_with("From: ")).unwrap().to_owned();
    mails.into_iter().map(from).collect()
}

async fn mails_wait_for_what_is_compiled_and_the_apis_do_not() {
    let (database, id) = staged().await;
    database.execute("delete from plugin_code").await;
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
    writes_as(&host, "Chosen").await;
    host.stop().await;
}

async fn the_built_in_stands_in_when_the_settings_say_so() {
    let (database, _) = staged().await;
    database.execute("delete from plugin_code").await;
    let (compiler, _) = held_compiler(database.folder.path());
    let settings = [("PLUGINS__COMPILER__PROGRAM", compiler.as_str()), ("PLUGINS__COLD_START", "stand-in")];
    let host = start(&database, &settings).await;
    writes_as(&host, "My Shop").await;
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
    writes_as(&host, "My Shop").await;
    host.stop().await;
}
