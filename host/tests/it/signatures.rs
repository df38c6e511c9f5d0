//! Whose components may serve: signatures are kept, asked for, and asked for again where it matters.

use std::fs;
use std::path::{Path, PathBuf};

use ecomm::grpc::pb;
use ecomm::kit::sign::{self, PrivateKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use crate::app::{App, sqlite};
use crate::both_apis::{channel, with};
use crate::database::Database;
use crate::harness::tests;
use crate::stages::{slot, stage, upload};

tests! {
    on_each_database {
        without_a_trusted_signature_nothing_serves
        a_component_has_so_many_signatures
    }
    once {
        what_is_written_into_the_database_does_not_serve
        what_served_before_is_asked_for_its_signature_too
        a_key_that_is_not_trusted_any_more_is_not
        a_missing_signature_is_a_warning_where_that_is_asked_for
        a_file_is_signed_by_the_one_beside_it
        keys_that_cannot_be_read_keep_a_host_from_starting
        both_apis_take_and_show_signatures
    }
}

const PASSWORD: &str = "a password";

/// A folder with a pair of keys.
struct Keys {
    folder: TempDir,
}

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        sign::generate(&folder.path().join("release"), PASSWORD).unwrap();
        Self { folder }
    }

    fn public(&self) -> PathBuf {
        self.folder.path().join("release.pub")
    }

    fn sign(&self, wasm: &[u8]) -> String {
        let key = PrivateKey::open(&self.folder.path().join("release.key"), || PASSWORD.to_owned()).unwrap();
        key.sign_component(wasm).signature
    }
}

fn settings<'a>(signatures: &'a str, keys: &'a str) -> [(&'static str, &'a str); 2] {
    [("PLUGINS__TRUST__SIGNATURES", signatures), ("PLUGINS__TRUST__KEY_PATHS", keys)]
}

fn list(path: &Path) -> String {
    json!([path]).to_string()
}

fn component() -> Vec<u8> {
    fs::read(env!("MISBEHAVING_WASM")).unwrap()
}

async fn call(app: &App, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let (status, answer) = app.client.call(method, path, &app.admin, body).await;
    (status.as_u16(), answer)
}

async fn install(app: &App, digest: &str) -> (u16, Value) {
    let new = json!({ "slot": "renderer", "digest": digest });
    call(app, "POST", "/v1/plugins/revisions", Some(new)).await
}

async fn add(app: &App, digest: &str, signature: &str) -> (u16, Value) {
    let path = format!("/v1/plugins/components/{digest}/signatures");
    call(app, "POST", &path, Some(json!({ "signature": signature }))).await
}

async fn without_a_trusted_signature_nothing_serves(database: Database) {
    let keys = Keys::new();
    let app = App::with(database, &settings("required", &list(&keys.public()))).await;
    let digest = upload(&app, component()).await;
    let (status, problem) = install(&app, &digest).await;
    assert_eq!((status, &problem["type"]), (422, &json!("urn:ecomm:problem:plugin:untrusted")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("it has no signature; sign it with `ecomm plugin sign`"), "{detail}");

    // Somebody else's is kept, and does not help.
    let (status, added) = add(&app, &digest, &Keys::new().sign(&component())).await;
    assert_eq!((status, &added["signer"]), (201, &Value::Null), "{added}");
    let (status, problem) = install(&app, &digest).await;
    assert_eq!(status, 422);
    assert!(
        problem["detail"].as_str().unwrap().contains("none of its 1 signatures is by a trusted key ("),
        "{problem}"
    );

    let (status, added) = add(&app, &digest, &keys.sign(&component())).await;
    assert_eq!((status, &added["signer"]["key"]), (201, &json!(keys.public())), "{added}");
    let (status, revision) = install(&app, &digest).await;
    assert_eq!((status, &revision["report"]["signer"]), (201, &added["signer"]), "{revision}");
    let revision = revision["id"].as_i64().unwrap();
    stage(&app, revision, json!({ "stage": "active" })).await;
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["journal"][0]["renderer_revision"], json!(revision));

    // The next host asks again: it does not take the database's word. What came with it serves meanwhile.
    let database = app.end_keeping().await;
    let other = Keys::new();
    let environment = crate::app::environment(&database, &settings("required", &list(&other.public())));
    let config = ecomm::config::Config::load(None, environment).unwrap();
    let roles = ecomm::host::Roles { worker: false, ..ecomm::host::Roles::ALL };
    let mut host = ecomm::host::Host::start(config, roles, ecomm::clock::Clock::system()).await.unwrap();
    let refused: Vec<_> = host.prepared().await.iter().map(|(slot, e)| (slot.as_str(), e.code())).collect();
    assert_eq!(refused, [("renderer", "plugin:untrusted".to_owned())]);
    let serving = host.service.plugins.routing().slot(ecomm::plugin::Slot::Renderer).active.origin.clone();
    assert_eq!(serving, ecomm::plugin::BUILT_IN);
    host.stop().await;
}

async fn a_component_has_so_many_signatures(database: Database) {
    let app = App::start(database).await;
    let digest = upload(&app, component()).await;
    let most = ecomm::plugin::SIGNATURES_MAX;
    for number in 0..most {
        assert_eq!(add(&app, &digest, &format!("AA{number:02}")).await.0, 201);
    }
    // One that is there already is none too many.
    assert_eq!(add(&app, &digest, "AA00").await.0, 201);
    let (status, problem) = add(&app, &digest, "BB00").await;
    assert_eq!(
        (status, problem["detail"].as_str()),
        (409, Some("the component has 16 signatures, the most that are kept"))
    );
    let path = format!("/v1/plugins/components/{digest}/signatures");
    let signatures = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!(signatures.as_array().unwrap().len(), most);
    app.end().await;
}

/// Starts on a database that somebody has written into; who serves then.
async fn after(database: &Database, trust: &[(&str, &str)]) -> (Vec<String>, String) {
    let config = ecomm::config::Config::load(None, crate::app::environment(database, trust)).unwrap();
    let roles = ecomm::host::Roles { worker: false, ..ecomm::host::Roles::ALL };
    let mut host = ecomm::host::Host::start(config, roles, ecomm::clock::Clock::system()).await.unwrap();
    let refused = host.prepared().await.iter().map(|(_, e)| e.code()).collect();
    let serving = host.service.plugins.routing().slot(ecomm::plugin::Slot::Renderer).active.origin.clone();
    host.stop().await;
    (refused, serving)
}

async fn what_is_written_into_the_database_does_not_serve() {
    let keys = Keys::new();
    let trusted = list(&keys.public());
    let required = settings("required", &trusted);
    let refused = (vec!["plugin:untrusted".to_owned()], ecomm::plugin::BUILT_IN.to_owned());
    let app = App::start(sqlite().await).await;
    let digest = upload(&app, component()).await;
    let revision = install(&app, &digest).await.1["id"].as_i64().unwrap();
    stage(&app, revision, json!({ "stage": "active" })).await;
    let database = app.end_keeping().await;
    assert_eq!(after(&database, &required).await, refused);
    // Its row says that it came with the host.
    database.execute("update plugin_revisions set origin = 'built-in'").await;
    assert_eq!(after(&database, &required).await, refused);
    assert_eq!(after(&database, &[]).await, (Vec::new(), ecomm::plugin::BUILT_IN.to_owned()), "by its row only");
    // Its bytes are others than those that its digest names.
    database.execute(&format!("update plugin_parts set content = zeroblob(100) where digest = '{digest}'")).await;
    assert_eq!(after(&database, &required).await, refused);
}

async fn what_served_before_is_asked_for_its_signature_too() {
    let (old, new) = (Keys::new(), Keys::new());
    let both = json!([old.public(), new.public()]).to_string();
    let app = App::with(sqlite().await, &settings("required", &both)).await;
    let mut revisions = Vec::new();
    for (keys, config) in [(&old, json!({})), (&new, json!({ "delay_ms": 0 }))] {
        let digest = upload(&app, component()).await;
        add(&app, &digest, &keys.sign(&component())).await;
        let body = json!({ "slot": "renderer", "digest": digest, "config": config });
        let revision = call(&app, "POST", "/v1/plugins/revisions", Some(body)).await.1["id"].as_i64().unwrap();
        stage(&app, revision, json!({ "stage": "active" })).await;
        revisions.push(revision);
    }
    // Both keys are found out; what served before must not come back when what serves is taken out.
    for keys in [&old, &new] {
        fs::copy(Keys::new().public(), keys.public()).unwrap();
    }
    let path = format!("/v1/plugins/revisions/{}/stage", revisions[1]);
    let (status, answer) = call(&app, "POST", &path, Some(json!({ "stage": "quarantined" }))).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(slot(&app).await["active"]["origin"], json!("built-in"));
    app.end().await;
}

async fn a_key_that_is_not_trusted_any_more_is_not() {
    let keys = Keys::new();
    let app = App::with(sqlite().await, &settings("required", &list(&keys.public()))).await;
    let digest = upload(&app, component()).await;
    add(&app, &digest, &keys.sign(&component())).await;
    let revision = install(&app, &digest).await.1["id"].as_i64().unwrap();
    // The revision is prepared, in memory; the file of the key is read again all the same.
    fs::copy(Keys::new().public(), keys.public()).unwrap();
    let path = format!("/v1/plugins/revisions/{revision}/stage");
    for change in
        [json!({ "stage": "active" }), json!({ "stage": "canary", "percent": 5 }), json!({ "stage": "shadow" })]
    {
        let (status, problem) = call(&app, "POST", &path, Some(change)).await;
        assert_eq!((status, &problem["type"]), (422, &json!("urn:ecomm:problem:plugin:untrusted")), "{problem}");
    }
    // What is to go needs no signature.
    let (status, answer) = call(&app, "POST", &path, Some(json!({ "stage": "quarantined" }))).await;
    assert_eq!(status, 200, "{answer}");
    // What came with the host needs none either.
    let (status, revision) = call(&app, "POST", "/v1/plugins/revisions", Some(json!({ "slot": "renderer" }))).await;
    assert_eq!(status, 201, "{revision}");
    app.end().await;
}

async fn a_missing_signature_is_a_warning_where_that_is_asked_for() {
    let keys = Keys::new();
    let app = App::with(sqlite().await, &settings("warn", &list(&keys.public()))).await;
    let digest = upload(&app, component()).await;
    let (status, revision) = install(&app, &digest).await;
    assert_eq!((status, &revision["report"]["signer"]), (201, &Value::Null));
    let warnings = revision["report"]["warnings"].as_array().unwrap();
    assert!(warnings.contains(&json!("it has no signature (plugins.trust.signatures)")), "{warnings:?}");
    stage(&app, revision["id"].as_i64().unwrap(), json!({ "stage": "active" })).await;
    app.end().await;
}

async fn a_file_is_signed_by_the_one_beside_it() {
    let keys = Keys::new();
    let file = keys.folder.path().join("mails.wasm");
    fs::write(&file, component()).unwrap();
    let trusted = list(&keys.public());
    let path = file.display().to_string();
    let mut more = settings("required", &trusted).to_vec();
    more.push(("PLUGINS__RENDERER__PATH", &path));
    let app = App::with(sqlite().await, &more).await;
    assert_eq!(slot(&app).await["active"]["origin"], json!("built-in"));
    let (status, problem) = call(&app, "POST", "/v1/plugins/renderer/reload", None).await;
    assert_eq!((status, &problem["type"]), (422, &json!("urn:ecomm:problem:plugin:untrusted")), "{problem}");
    // As cosign and openssl write it: base64 with a line's end, or the bytes.
    fs::write(keys.folder.path().join("mails.wasm.sig"), keys.sign(&component()) + "\n").unwrap();
    let (status, answer) = call(&app, "POST", "/v1/plugins/renderer/reload", None).await;
    assert_eq!((status, &answer["active"]["origin"]), (200, &json!(file)), "{answer}");
    app.end().await;
}

async fn keys_that_cannot_be_read_keep_a_host_from_starting() {
    let database = sqlite().await;
    let keys = Keys::new();
    let key = list(&keys.folder.path().join("release.key"));
    let missing = list(&keys.folder.path().join("nobody.pub"));
    for (signatures, paths, why) in [
        (
            "required",
            "[]",
            "plugins.trust: plugins.trust.signatures asks for signatures, but plugins.trust.key_paths names no key",
        ),
        ("off", &key, "release.key is not a public key for signatures: expected PEM"),
        ("warn", &missing, "nobody.pub: No such file"),
    ] {
        let config =
            ecomm::config::Config::load(None, crate::app::environment(&database, &settings(signatures, paths)));
        let refused = ecomm::host::offline(config.unwrap(), ecomm::clock::Clock::system()).await.map(drop).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

async fn both_apis_take_and_show_signatures() {
    let keys = Keys::new();
    let app = App::with(sqlite().await, &settings("required", &list(&keys.public()))).await;
    let mut plugins = pb::plugin_service_client::PluginServiceClient::new(channel(&app).await);
    let digest = upload(&app, component()).await;
    let signature = |text: &str, image| Some(pb::PluginSignature { signature: text.to_owned(), image });
    let request = |signature| pb::AddPluginSignatureRequest { digest: digest.clone(), signature };
    let ours = request(signature(&keys.sign(&component()), None));
    let added = plugins.add_plugin_signature(with(&app.admin, ours)).await.unwrap().into_inner().signature.unwrap();
    assert_eq!(added.signer.unwrap().key, keys.public().display().to_string());
    let listed = pb::ListPluginSignaturesRequest { digest: digest.clone() };
    let listed = plugins.list_plugin_signatures(with(&app.admin, listed)).await.unwrap().into_inner().signatures;
    assert_eq!(listed.len(), 1);

    // Over REST it is the same.
    let path = format!("/v1/plugins/components/{digest}/signatures");
    let shown = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!(shown[0]["signature"]["signature"], json!(listed[0].signature.as_ref().unwrap().signature));

    // An image's must be about this component.
    let manifest = json!({ "layers": [{ "mediaType": "application/wasm", "digest": "sha256:00" }] }).to_string();
    let about = format!("sha256:{}", ecomm::plugin::digest(manifest.as_bytes()));
    let payload = json!({ "critical": { "image": { "docker-manifest-digest": about } } }).to_string();
    let image = pb::PluginSignedImage { payload, manifest };
    let refused = plugins.add_plugin_signature(with(&app.admin, request(signature("AAAA", Some(image))))).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("is about the component 00, not about this component"), "{}", refused.message());
    let (status, problem) = add(&app, &digest, "no base64!").await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/signature")), "{problem}");
    let (status, _) = add(&app, &"0".repeat(64), "AAAA").await;
    assert_eq!(status, 404);
    let (status, _) = app.client.call("GET", &path, &app.customer, None).await;
    assert_eq!(status, 403);
    app.end().await;
}
