//! Components on their way through OCI registries, by the command line: real registries, one open and without TLS, one with
//! TLS and for those who are logged in.

use std::path::Path;
use std::process::Command;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::app::{App, environment, sqlite};
use crate::harness;

pub const OPEN: &str = "ECOMM_TEST_REGISTRY";
const CLOSED: &str = "ECOMM_TEST_CLOSED_REGISTRY";
/// The authority of its certificate.
const CA: &str = "ECOMM_TEST_CA";

pub fn tests() -> Vec<Trial> {
    let trial = |name: &str, variable: &'static str, run: fn(String) -> LocalBoxFuture<'static, ()>| {
        let name = format!("registries::{name}");
        let Ok(registry) = std::env::var(variable) else {
            return harness::lacking(name, format!("{variable} is not set"));
        };
        harness::trial(&name, move || harness::run(2, run(registry)))
    };
    vec![
        trial("what_is_pushed_is_laid_out_as_others_read_it", OPEN, |r| laid_out(r).boxed_local()),
        trial("a_pinned_and_signed_component_is_installed", OPEN, |r| installed(r).boxed_local()),
        trial("a_tag_that_moved_is_named", OPEN, |r| moved(r).boxed_local()),
        trial("the_commands_of_the_guide_run", OPEN, |r| guided(r).boxed_local()),
        trial("what_is_no_component_or_too_large_is_not_pulled", OPEN, |r| refused(r).boxed_local()),
        trial("a_registry_under_tls_asks_who_calls", CLOSED, |r| closed(r).boxed_local()),
        harness::trial("registries::a_registry_that_is_down_is_named", || harness::run(2, down())),
    ]
}

/// The command line as its users call it: its exit status, and what it said.
async fn ecomm(folder: &Path, environment: &[(String, String)], args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    command.env_clear().env("COSIGN_PASSWORD", "a password").env("ECOMM__LOG__FILTER", "off");
    command.envs(environment.iter().cloned()).current_dir(folder).arg("plugin").args(args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

async fn ok(folder: &Path, environment: &[(String, String)], args: &[&str]) -> Value {
    let (status, said) = ecomm(folder, environment, &[args, &["--json"]].concat()).await;
    assert_eq!(status, Some(0), "{args:?}: {said}");
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
}

async fn fails(folder: &Path, environment: &[(String, String)], args: &[&str]) -> String {
    let (status, said) = ecomm(folder, environment, args).await;
    assert_ne!(status, Some(0), "{args:?}: {said}");
    said
}

/// A name that a registry which stays from run to run does not know yet.
fn unused(folder: &tempfile::TempDir) -> String {
    let random = folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
    format!("shop/mails-{}-{}", random.trim_start_matches('.'), std::process::id())
}

/// A folder with a component and a pair of keys.
async fn workshop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(env!("MISBEHAVING_WASM"), folder.path().join("mails.wasm")).unwrap();
    ok(folder.path(), &[], &["keygen", "release"]).await;
    folder
}

/// Takes a built component the way from its author to a host: pushed and signed, then installed by its address. Its
/// revision.
pub async fn through(registry: &str, app: &App, component: &Path, settings: &[(&str, &str)]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let at = format!("oci://{registry}/{}:1.0", unused(&folder));
    ok(folder.path(), &[], &["keygen", "release"]).await;
    let file = component.display().to_string();
    let pushed = ok(folder.path(), &[], &["push", &file, &at, "--plain-http", "--key", "release.key"]).await;
    let install = ["install", "renderer", pushed["pushed"].as_str().unwrap(), "--plain-http"];
    ok(folder.path(), &environment(&app.database, settings), &install).await["id"].clone()
}

async fn manifest(registry: &str, name: &str, reference: &str) -> Value {
    let url = format!("http://{registry}/v2/{name}/manifests/{reference}");
    let accept = "application/vnd.oci.image.manifest.v1+json";
    reqwest::Client::new().get(url).header("accept", accept).send().await.unwrap().json().await.unwrap()
}

async fn laid_out(registry: String) {
    let folder = workshop().await;
    let name = unused(&folder);
    let at = format!("oci://{registry}/{name}:1.0");
    let push = ["push", "mails.wasm", &at, "--plain-http", "--key", "release.key"];
    let pushed = ok(folder.path(), &[], &push).await;
    // Again: the same digest, and the same signature, not one more.
    assert_eq!(ok(folder.path(), &[], &push).await, pushed);
    let address = pushed["pushed"].as_str().unwrap();
    let (_, digest) = address.split_once("@sha256:").unwrap();
    let found = manifest(&registry, &name, "1.0").await;
    assert_eq!(
        (&found["config"]["mediaType"], &found["layers"][0]["mediaType"], &found["layers"][0]["digest"]),
        (
            &json!("application/vnd.wasm.config.v0+json"),
            &json!("application/wasm"),
            &json!(format!("sha256:{}", pushed["component"].as_str().unwrap()))
        )
    );
    let url = format!("http://{registry}/v2/{name}/blobs/{}", found["config"]["digest"].as_str().unwrap());
    let config: Value = reqwest::Client::new().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(exports.contains(&json!("ecomm:notification/renderer@1.0.0")), "{config}");
    let signatures = manifest(&registry, &name, &format!("sha256-{digest}.sig")).await;
    let layers = signatures["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1, "{signatures}");
    assert_eq!(layers[0]["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");

    // A second key's signature stands beside the first.
    ok(folder.path(), &[], &["keygen", "second"]).await;
    ok(folder.path(), &[], &["push", "mails.wasm", &at, "--plain-http", "--key", "second.key"]).await;
    for key in ["release", "second"] {
        let verify = ["verify", address, "--plain-http", "--key", &format!("{key}.pub")];
        assert_eq!(ok(folder.path(), &[], &verify).await["signer"]["key"], json!(format!("{key}.pub")));
    }
}

async fn installed(registry: String) {
    let folder = workshop().await;
    let name = unused(&folder);
    let key = json!([folder.path().join("release.pub")]).to_string();
    let trust = [("PLUGINS__TRUST__SIGNATURES", "required"), ("PLUGINS__TRUST__KEY_PATHS", key.as_str())];
    let app = App::with(sqlite().await, &trust).await;
    let settings = environment(&app.database, &trust);
    let at = format!("oci://{registry}/{name}:1.0");
    let pushed = ok(folder.path(), &[], &["push", "mails.wasm", &at, "--plain-http"]).await;
    let address = pushed["pushed"].as_str().unwrap();

    // A tag alone is not taken, and what it names now is said.
    let said = fails(folder.path(), &settings, &["install", "renderer", &at, "--plain-http"]).await;
    assert!(said.contains(&format!("what it names now is {address}")), "{said}");
    let said = fails(folder.path(), &settings, &["install", "renderer", address, "--plain-http"]).await;
    assert!(said.contains("not signed by a trusted key (plugins.trust): it has no signature"), "{said}");

    ok(folder.path(), &[], &["push", "mails.wasm", &at, "--plain-http", "--key", "release.key"]).await;
    let install = ["install", "renderer", address, "--plain-http", "--why", "the release"];
    let revision = ok(folder.path(), &settings, &install).await;
    assert_eq!((&revision["origin"], &revision["stage"]), (&json!(address), &json!("ready")), "{revision}");
    assert_eq!(revision["report"]["signer"]["key"], json!(folder.path().join("release.pub")));
    let id = revision["id"].to_string();
    ok(folder.path(), &settings, &["activate", &id]).await;
    crate::app::eventually("the host follows", async || {
        crate::stages::slot(&app).await["active"]["revision"] == revision["id"]
    })
    .await;
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["journal"][0]["renderer_revision"], revision["id"]);
    assert_eq!(app.subjects(), [format!("Order {order}")]);
    app.end().await;
}

/// `docs/authors.md`, from the keys on; the rest of it is tried where no registry is needed.
async fn guided(registry: String) {
    let folder = tempfile::tempdir().unwrap();
    let name = unused(&folder);
    let database = sqlite().await;
    let settings = environment(&database, &[]);
    let (status, said) = ecomm(folder.path(), &[], &["new", "my-mails", "--slot", "renderer", "--lang", "c"]).await;
    assert_eq!(status, Some(0), "{said}");
    let project = folder.path().join("my-mails");
    std::fs::create_dir(project.join("build")).unwrap();
    std::fs::write(project.join("build/plugin.wasm"), ecomm::plugin::builtin(ecomm::plugin::Slot::Renderer)).unwrap();
    let guide = crate::guide::guide();
    let (mut pushed, mut commands) = (Value::Null, 0);
    for command in crate::guide::commands_of(&guide)
        .filter(|c| c.contains("release.") || c.contains("keygen") || c.contains("oci:"))
    {
        let mut command = command.strip_prefix("ecomm plugin ").expect(command).to_owned();
        if command.contains("oci://") {
            command =
                command.replace("registry.example/shop/my-mails", &format!("{registry}/{name}")) + " --plain-http";
        }
        let digest = pushed["pushed"].as_str().and_then(|address| address.split("@sha256:").nth(1)).unwrap_or_default();
        let command = command.replace("DIGEST", digest);
        let said = ok(&project, &settings, &command.split(' ').collect::<Vec<_>>()).await;
        if said["pushed"].is_string() {
            pushed = said;
        }
        commands += 1;
    }
    assert_eq!(commands, 6);
    assert!(project.join("back.wasm").is_file());
}

async fn moved(registry: String) {
    let folder = workshop().await;
    let name = unused(&folder);
    let at = format!("oci://{registry}/{name}:1.0");
    let push = |file: &'static str| {
        let (at, folder) = (at.clone(), folder.path().to_owned());
        async move { ok(&folder, &[], &["push", file, &at, "--plain-http"]).await["pushed"].clone() }
    };
    let first = push("mails.wasm").await;
    std::fs::write(folder.path().join("other.wasm"), ecomm::plugin::builtin(ecomm::plugin::Slot::Renderer)).unwrap();
    let second = push("other.wasm").await;
    assert_ne!(first, second);
    let said = fails(folder.path(), &[], &["pull", first.as_str().unwrap(), "--plain-http"]).await;
    let digest = |address: &Value| address.as_str().unwrap().split_once('@').unwrap().1.to_owned();
    let by_digest = format!("oci://{registry}/{name}@{}", digest(&first));
    for part in ["the tag 1.0 has moved", &digest(&second), &format!("say {by_digest}")] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    // By its digest alone it is there for ever.
    let pulled = ok(folder.path(), &[], &["pull", &by_digest, "--plain-http", "--out", "back.wasm"]).await;
    assert_eq!(pulled["pulled"], json!(by_digest));
    let [before, after] = ["mails.wasm", "back.wasm"].map(|file| std::fs::read(folder.path().join(file)).unwrap());
    assert!(before == after, "other bytes came back");
}

async fn refused(registry: String) {
    let folder = workshop().await;
    let name = unused(&folder);
    std::fs::write(folder.path().join("text.wasm"), "no component").unwrap();
    let at = format!("oci://{registry}/{name}:1.0");
    let said = fails(folder.path(), &[], &["push", "text.wasm", &at, "--plain-http"]).await;
    assert!(said.contains("not a WebAssembly component"), "{said}");
    let said = fails(folder.path(), &[], &["pull", &at, "--plain-http"]).await;
    assert!(said.contains(&format!("{at} is not in the registry")), "{said}");
    let pushed = ok(folder.path(), &[], &["push", "mails.wasm", &at, "--plain-http"]).await;
    let address = pushed["pushed"].as_str().unwrap();
    let small = [("ECOMM__PLUGINS__COMPONENT_BYTES_MAX".to_owned(), "1000".to_owned())];
    let said = fails(folder.path(), &small, &["pull", &at, "--plain-http"]).await;
    assert!(said.contains("plugins.component_bytes_max allows 1000"), "{said}");
    // What is signed is no component, nor is any image of a container.
    let (_, digest) = address.split_once("@sha256:").unwrap();
    ok(folder.path(), &[], &["push", "mails.wasm", &at, "--plain-http", "--key", "release.key"]).await;
    let signatures = format!("oci://{registry}/{name}:sha256-{digest}.sig");
    let said = fails(folder.path(), &[], &["pull", &signatures, "--plain-http"]).await;
    assert!(
        said.contains("is no component: its layer is \"application/vnd.dev.cosign.simplesigning.v1+json\""),
        "{said}"
    );
    // Nothing is written of what was refused for its signature.
    let pull = ["pull", &at, "--plain-http", "--out", "unsigned.wasm", "--key", "other.pub"];
    ok(folder.path(), &[], &["keygen", "other"]).await;
    let said = fails(folder.path(), &[], &pull).await;
    assert!(said.contains("it is not signed by any of the keys: 1 signatures were looked at"), "{said}");
    assert!(!folder.path().join("unsigned.wasm").exists());
}

async fn closed(registry: String) {
    let folder = workshop().await;
    let name = unused(&folder);
    let at = format!("oci://{registry}/{name}:1.0");
    let said = fails(folder.path(), &[], &["push", "mails.wasm", &at]).await;
    assert!(said.contains(&format!("the registry {registry} does not answer")), "an unknown authority: {said}");
    let ca = ("SSL_CERT_FILE".to_owned(), std::env::var(CA).unwrap());
    let said = fails(folder.path(), std::slice::from_ref(&ca), &["push", "mails.wasm", &at]).await;
    assert!(said.contains(&format!("`docker login {registry}`")), "{said}");
    for (password, is_let_in) in [("another", false), ("a password", true)] {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("ada:{password}"));
        let login = json!({ "auths": { &registry: { "auth": auth } } });
        std::fs::write(folder.path().join("config.json"), login.to_string()).unwrap();
        let docker = ("DOCKER_CONFIG".to_owned(), folder.path().display().to_string());
        let environment = [ca.clone(), docker];
        let push = ["push", "mails.wasm", &at, "--key", "release.key"];
        if is_let_in {
            ok(folder.path(), &environment, &push).await;
            let pulled = ok(folder.path(), &environment, &["pull", &at, "--key", "release.pub"]).await;
            assert_eq!(pulled["signatures"], 1);
        } else {
            let said = fails(folder.path(), &environment, &push).await;
            assert!(said.contains("log in to it"), "{said}");
        }
    }
}

async fn down() {
    let folder = tempfile::tempdir().unwrap();
    // Bound, and nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let registry = socket.local_addr().unwrap();
    let said = fails(folder.path(), &[], &["pull", &format!("oci://{registry}/mails:1"), "--plain-http"]).await;
    assert!(said.contains(&format!("the registry {registry} does not answer: ")), "{said}");
    assert!(said.contains("Connection refused") && said.contains("look at its address"), "{said}");
}
