//! Commands that work through a host far away: no settings, no database, a session of their own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use ecomm::mail::mailbox::Phase;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::app::{App, PASSWORD, eventually, reply, sqlite};
use crate::harness::tests;

tests! {
    once {
        what_a_host_answers_is_what_rest_answers
        json_has_the_forms_that_the_guide_tells
        a_component_goes_all_the_way
        sessions_are_renewed_and_end
        a_long_command_outlives_its_token
        bad_input_gets_a_clear_answer
        the_connection_may_be_private
    }
}

/// Somebody who has the program, an account, and nothing else of the shop's.
pub struct Operator {
    home: TempDir,
    server: String,
}

impl Operator {
    fn new(server: impl Into<String>) -> Self {
        Self { home: tempfile::tempdir().unwrap(), server: server.into() }
    }

    pub fn of(app: &App) -> Self {
        Self::new(format!("http://{}", app.host.grpc.unwrap()))
    }

    pub async fn output(&self, args: &[&str], input: &str, more: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
        command.env_clear().env("HOME", self.home.path()).env("ECOMM_SERVER", &self.server).envs(more.iter().copied());
        command.args(args).current_dir(&self.home).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may have ended.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.unwrap()
    }

    /// What a command that succeeds says.
    pub async fn ok(&self, args: &[&str]) -> String {
        let output = self.output(args, "", &[]).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(output.stderr));
        text(output.stdout)
    }

    pub async fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat()).await).unwrap()
    }

    /// What a command that fails says.
    pub async fn refused(&self, args: &[&str], more: &[(&str, &str)]) -> String {
        let output = self.output(args, "", more).await;
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub async fn log_in(&self, email: &str, password: &str) -> (bool, String) {
        let output = self.output(&["login", "--email", email], &format!("{password}\n"), &[]).await;
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn file(&self) -> std::path::PathBuf {
        self.home.path().join(".config/ecomm/sessions.json")
    }

    fn kept(&self) -> Value {
        let kept: Value = serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap();
        kept[&self.server].clone()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn what_a_host_answers_is_what_rest_answers() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    app.drain().await;
    app.fail(Phase::Rcpt, reply("550 5.7.1 no such user"), 1);
    app.order().await;
    app.drain().await;
    let operator = Operator::of(&app);
    assert!(operator.log_in("admin@shop.example", PASSWORD).await.0);
    let rest = async |path: &str| app.client.ok("GET", path, &app.admin, None).await;
    let listed = rest("/v1/notifications").await["items"].clone();
    assert_eq!(operator.json(&["notification", "ls"]).await, listed);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    // An order's, and nothing but its failed ones.
    let filtered = operator.json(&["notification", "ls", "--order", "2", "--state", "failed"]).await;
    assert_eq!(filtered, json!([listed[1]]));
    assert_eq!(operator.json(&["notification", "ls", "--order", "2", "--state", "sent"]).await, json!([]));
    for (args, path) in [
        (&["notification", "show", "1"][..], "/v1/notifications/1"),
        (&["notification", "reproduce", "1"], "/v1/notifications/1/reproduction"),
        (&["notification", "queue"], "/v1/queue"),
        (&["plugin", "inspect", "1"], "/v1/plugins/revisions/1"),
    ] {
        assert_eq!(operator.json(args).await, rest(path).await, "{args:?}");
    }
    assert_eq!(operator.json(&["plugin", "history"]).await, rest("/v1/plugins/history").await["items"]);
    eventually("a host says that it is there", async || !rest("/v1/hosts").await.as_array().unwrap().is_empty()).await;
    let (mut hosts, mut listed) = (rest("/v1/hosts").await, operator.json(&["hosts"]).await);
    // It says so again every ten seconds.
    for seen in [&mut hosts[0], &mut listed[0]] {
        seen["seen_at"].take();
    }
    assert_eq!((&listed, &listed[0]["is_this"]), (&hosts, &json!(true)));
    let (slots, revisions) = (rest("/v1/plugins").await, rest("/v1/plugins/revisions").await["items"].clone());
    assert_eq!(operator.json(&["plugin", "ls"]).await, json!({ "slots": slots, "revisions": revisions }));
    let preview =
        app.client.ok("POST", "/v1/plugins/revisions/1/preview", &app.admin, Some(json!({ "notification": 1 }))).await;
    let mut previewed = operator.json(&["plugin", "preview", "1", "1"]).await;
    // Instructions are counted to within a few.
    for side in ["candidate", "active"] {
        previewed[side]["fuel"] = preview[side]["fuel"].clone();
    }
    assert_eq!(previewed, preview);

    // And on the database itself.
    let here = Command::new(env!("CARGO_BIN_EXE_ecomm"))
        .args(["notification", "show", "2", "--json"])
        .envs(crate::app::environment(&app.database, &[("LOG__FILTER", "off")]))
        .output();
    let here: Value = serde_json::from_slice(&here.await.unwrap().stdout).unwrap();
    assert_eq!(here, rest("/v1/notifications/2").await);

    let retried = operator.json(&["notification", "retry", "2", "--why", "by hand"]).await;
    let by = "by user 1: by hand";
    assert_eq!((&retried["state"], &retried["journal"][1]["reason"]), (&json!("not sent"), &json!(by)));
    assert_eq!(operator.json(&["notification", "hold", "2"]).await["state"], "held");
    assert_eq!(operator.json(&["notification", "cancel", "2"]).await["state"], "failed");
    assert_eq!(operator.json(&["notification", "pause", "--why", "sale"]).await["paused"]["why"], "sale");
    assert_eq!(operator.json(&["notification", "resume"]).await["paused"], Value::Null);
    app.end().await;
}

/// Each command of the guide's table, by the schema that it names.
async fn json_has_the_forms_that_the_guide_tells() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    app.drain().await;
    let operator = Operator::of(&app);
    assert!(operator.log_in("admin@shop.example", PASSWORD).await.0);
    let document = app.client.ok("GET", "/openapi.json", "", None).await;
    let has_form = |answer: &Value, schema: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}"), "components": document["components"] });
        let wrong = jsonschema::validator_for(&schema).unwrap().iter_errors(answer).map(|e| e.to_string()).next();
        assert_eq!(wrong, None, "{answer}");
    };
    operator.ok(&["plugin", "install", "renderer", env!("MISBEHAVING_WASM")]).await;
    operator.ok(&["notification", "bulk", "hold", "--state", "not-sent", "--yes"]).await;
    operator.ok(&["plugin", "replay", "3"]).await;
    let addresses = operator.home.path().join("addresses").display().to_string();
    std::fs::write(&addresses, "cara@example.com\n").unwrap();
    let guide = include_str!("../../../docs/operators.md");
    let table = guide.split_once("| command | JSON |").unwrap().1;
    let mut commands = 0;
    for row in table.lines().skip(2).take_while(|row| row.starts_with('|')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (words, form) = (cells[1], cells[2]);
        let group = words.trim_matches('`').split(' ').next().unwrap();
        for command in words.split(", ").map(|word| word.trim_matches('`').trim_start_matches(&format!("{group} "))) {
            let more: &[&str] = match command {
                "bulk retry" => &["--state", "failed", "--dry-run"],
                "bulk cancel" => &["--state", "held", "--dry-run"],
                "bulk hold" => &["--state", "not-sent", "--dry-run"],
                "shadow" | "activate" | "quarantine" => &["3"],
                "canary" => &["3", "5"],
                "rollback" => &["renderer"],
                _ => &[],
            };
            let filled = command.replace("SLOT FILE", &format!("renderer {}", env!("MISBEHAVING_WASM")));
            let filled = filled.replace("REVISION ID", "3 1").replace("REVISION", "3").replace("OPERATION", "1");
            // Acts are on one that stands where they are for it.
            let is_act = matches!(command, "retry ID" | "cancel ID" | "hold ID");
            let mut id = 1;
            if is_act {
                app.order().await;
                id = app.database.number("select max(id) from notification_states").await;
            }
            if command == "retry ID" {
                operator.ok(&["notification", "hold", &id.to_string()]).await;
            }
            let filled = filled.replace("ID", &id.to_string()).replace("ADDRESS", "bob@example.com");
            let filled = filled.replace("URL", "https://hooks.example/").replace("FILE", &addresses);
            let words = std::iter::once(group).chain(filled.split(' ').filter(|word| *word != group));
            let args: Vec<_> = words.chain(more.iter().copied()).collect();
            let answer = operator.json(&args).await;
            for (schema, part) in parts(form, &answer) {
                has_form(part, schema);
            }
            commands += 1;
        }
    }
    assert!(commands > 29, "{commands}");
    app.end().await;
}

/// The parts of an answer with the schema of each, as the guide's table tells them.
fn parts<'a>(form: &'a str, answer: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let named = |text: &'a str| text.split('`').nth(1).unwrap();
    let items = |text: &'a str, array: &'a Value| {
        array.as_array().unwrap().iter().map(|item| (named(text), item)).collect::<Vec<_>>()
    };
    match form {
        object if object.starts_with("object: ") => {
            let parts = object.trim_start_matches("object: ").split("; ");
            let part = |part: &'a str| {
                let (field, array) = part.split_once(", ").unwrap();
                items(array, &answer[field.trim_matches('`')])
            };
            parts.flat_map(part).collect()
        }
        array if array.starts_with("array of ") => items(array, answer),
        one => vec![(named(one), answer)],
    }
}

async fn a_component_goes_all_the_way() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    let operator = Operator::of(&app);
    assert!(operator.log_in("admin@shop.example", PASSWORD).await.0);
    let install = ["plugin", "install", "renderer", env!("MISBEHAVING_WASM"), "--why", "from afar"];
    let made = operator.json(&install).await;
    let (id, why) = (made["id"].to_string(), made["why"].as_str());
    assert_eq!((why, made["stage"].as_str()), (Some("from afar"), Some("ready")));
    let replayed = operator.json(&["plugin", "replay", &id]).await;
    assert_eq!((&replayed["state"], &replayed["replay"]["events"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(operator.json(&["plugin", "operations"]).await[0], replayed);
    assert_eq!(operator.json(&["plugin", "shadow", &id]).await[0]["shadow"]["revision"], made["id"]);
    let canary = ["plugin", "canary", &id, "10", "--steps", "50,100", "--then-activate"];
    assert_eq!(operator.json(&canary).await[0]["percent"], 10);
    let stale = operator.refused(&["plugin", "activate", &id, "--expect", "1"], &[]).await;
    assert!(stale.contains("it is at version 3 now"), "{stale}");
    let asked = operator.json(&["plugin", "activate", &id, "--replay", "10"]).await;
    assert_eq!(asked[0]["active"]["revision"], made["id"]);
    let back = operator.json(&["plugin", "rollback", "renderer", "--why", "back"]).await;
    assert_eq!((&back[0]["active"]["revision"], &back[0]["previous"]["revision"]), (&json!(1), &made["id"]));
    operator.ok(&["plugin", "quarantine", &id]).await;
    let taken_out = operator.refused(&["plugin", "activate", &id], &[]).await;
    assert!(taken_out.contains("quarantined"), "{taken_out}");

    // What the gate refuses is said, and why.
    let broken = operator.home.path().join("broken.wasm");
    std::fs::write(&broken, b"\0asm").unwrap();
    let said = operator.refused(&["plugin", "install", "renderer", broken.to_str().unwrap()], &[]).await;
    assert!(said.contains("component"), "{said}");
    let config = operator.home.path().join("config.json");
    std::fs::write(&config, r#"{ "colour": 1 }"#).unwrap();
    let with_config = ["plugin", "install", "renderer", env!("MISBEHAVING_WASM"), "--plugin-config", "config.json"];
    let said = operator.refused(&with_config, &[]).await;
    assert!(said.contains("colour"), "{said}");

    // One act on all that match, done by the host.
    let held = operator.json(&["notification", "bulk", "hold", "--state", "not-sent", "--yes"]).await;
    assert_eq!(
        (&held["state"], &held["done"], &held["created_by"]),
        (&json!("succeeded"), &json!(1), &json!("user 1"))
    );
    assert_eq!(operator.json(&["notification", "operations"]).await, json!([held]));
    assert_eq!(app.states().await, ["held"]);
    app.end().await;
}

async fn sessions_are_renewed_and_end() {
    // Each command finds its token about to end, and what is spent is spent.
    let short = [("AUTH__ACCESS_TOKEN_MS", "20000"), ("AUTH__RENEWAL_GRACE_MS", "0")];
    let app = App::with(sqlite().await, &short).await;
    let operator = Operator::of(&app);
    let said = operator.refused(&["notification", "queue"], &[]).await;
    assert!(said.contains(&format!("run `ecomm login --server {}`", operator.server)), "{said}");
    let (good, said) = operator.log_in("admin@shop.example", "wrong, and long enough").await;
    assert!(!good && said.contains("password"), "{said}");
    assert!(!operator.file().exists());
    let (good, said) = operator.log_in("admin@shop.example", PASSWORD).await;
    assert!(good && said.contains("logged in at"), "{said}");
    assert_eq!((mode(&operator.file()), mode(&operator.file().with_extension("lock"))), (0o600, 0o600));
    let text = std::fs::read_to_string(operator.file()).unwrap();
    assert!(!text.contains(PASSWORD), "the password is not kept");

    let first = operator.kept();
    // A refresh token renews once: commands at one moment must not end the session.
    let all = (0..4).map(|_| operator.ok(&["notification", "queue"]));
    futures_util::future::join_all(all).await;
    let renewed = operator.kept();
    assert_ne!(first["refresh_token"], renewed["refresh_token"]);
    let alive = "select count(*) from sessions where revoked_at is null";
    let sessions = app.database.number(alive).await;

    // What others can read is not used.
    std::fs::set_permissions(operator.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = operator.refused(&["notification", "queue"], &[]).await;
    assert!(said.contains("others can read"), "{said}");
    std::fs::set_permissions(operator.file(), std::fs::Permissions::from_mode(0o600)).unwrap();

    // A token by itself, as in a pipeline.
    let token = app.client.log_in("admin@shop.example").await;
    let pipeline = Operator::of(&app);
    assert!(pipeline.output(&["notification", "queue"], "", &[("ECOMM_TOKEN", &token)]).await.status.success());
    let said = pipeline.refused(&["notification", "queue"], &[("ECOMM_TOKEN", "expired")]).await;
    assert!(said.contains("ECOMM_TOKEN was not accepted"), "{said}");
    assert!(!pipeline.file().exists());

    // Its own session, whatever else is set.
    let ended = operator.output(&["logout"], "", &[("ECOMM_TOKEN", &token)]).await;
    assert!(ended.status.success());
    assert_eq!(operator.kept(), Value::Null);
    assert_eq!(app.database.number(alive).await, sessions, "one came by the pipeline, one went");
    assert!(pipeline.output(&["notification", "queue"], "", &[("ECOMM_TOKEN", &token)]).await.status.success());
    assert!(operator.ok(&["logout"]).await.contains("not logged in"));
    // Logged in again, the session before is not left behind; and one that ended at the host meanwhile.
    for _ in 0..2 {
        assert!(operator.log_in("admin@shop.example", PASSWORD).await.0);
    }
    assert_eq!(app.database.number(alive).await, sessions + 1);
    app.database.execute("delete from sessions").await;
    let said = operator.refused(&["notification", "queue"], &[]).await;
    assert!(said.contains("has ended: run `ecomm login"), "{said}");
    assert_eq!(operator.kept(), Value::Null);
    app.end().await;
}

async fn a_long_command_outlives_its_token() {
    let app = App::with(sqlite().await, &[("AUTH__ACCESS_TOKEN_MS", "3000")]).await;
    let operator = Operator::of(&app);
    assert!(operator.log_in("admin@shop.example", PASSWORD).await.0);
    let folder = operator.home.path().join("watched");
    std::fs::create_dir(&folder).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    command.env_clear().env("HOME", operator.home.path()).env("ECOMM_SERVER", &operator.server);
    command.args(["plugin", "watch"]).arg(&folder).stdout(Stdio::piped()).kill_on_drop(true);
    let mut watching = command.spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().starts_with("watching"));
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    std::fs::copy(env!("MISBEHAVING_WASM"), folder.join("new")).unwrap();
    std::fs::rename(folder.join("new"), folder.join("renderer.wasm")).unwrap();
    let said = lines.next_line().await.unwrap().unwrap();
    assert!(said.ends_with("serves"), "{said}");
    watching.kill().await.unwrap();
    app.end().await;
}

async fn bad_input_gets_a_clear_answer() {
    let app = App::start(sqlite().await).await;
    let operator = Operator::of(&app);
    // Customers, and those with a role.
    assert!(operator.log_in("ada@example.com", PASSWORD).await.0);
    let said = operator.refused(&["notification", "queue"], &[]).await;
    assert!(said.contains("your role does not allow this"), "{said}");
    let viewer = json!({ "role": "viewer" });
    app.client.ok("PATCH", "/v1/users/2", &app.admin, Some(viewer)).await;
    assert!(operator.log_in("ada@example.com", PASSWORD).await.0);
    operator.ok(&["notification", "queue"]).await;
    let said = operator.refused(&["notification", "pause"], &[]).await;
    assert!(said.contains("your role does not allow this"), "{said}");

    let said = operator.refused(&["plugin", "gc"], &[]).await;
    assert!(said.contains("leave --server out"), "{said}");
    let said = operator.refused(&["notification", "show", "99"], &[]).await;
    assert!(said.contains("no such notification"), "{said}");
    let said = operator.refused(&["plugin", "canary", "1", "0"], &[]).await;
    assert!(said.contains("1..=100"), "{said}");
    for server in ["shop.example", "ftp://shop.example", "https://shop.example/grpc", "https://me@shop.example"] {
        let said = operator.refused(&["login", "--email", "a@b.example", "--server", server], &[]).await;
        assert!(said.contains("must be an address such as"), "{server}: {said}");
    }
    let said = operator.refused(&["login", "--email", "a@b.example", "--server", "http://192.0.2.1:1"], &[]).await;
    assert!(said.contains("without TLS") && said.contains("--no-tls"), "{said}");
    let away = ["notification", "queue", "--server", "http://192.0.2.1:1"];
    let said = operator.refused(&away, &[("ECOMM_TOKEN", "a token")]).await;
    assert!(said.contains("would get the token without TLS"), "{said}");
    // A word that a script left empty is not everything; and two shops are one too many.
    let said =
        operator.refused(&["notification", "bulk", "cancel", "--state", "held", "--kind", "", "--yes"], &[]).await;
    assert!(said.contains("--kind"), "{said}");
    let said = operator.refused(&["notification", "queue"], &[("ECOMM_CONFIG", "shop.toml")]).await;
    assert!(said.contains("cannot be used with"), "{said}");
    let said = operator.refused(&["plugin", "rollback", "renderer", "--to", "0"], &[]).await;
    assert!(said.contains("--to"), "{said}");
    app.end().await;
    let said = operator.refused(&["notification", "queue"], &[]).await;
    assert!(said.contains("does not answer"), "{said}");
}

async fn the_connection_may_be_private() {
    let app = App::start(sqlite().await).await;
    let (pem, port) = crate::tls::before(app.host.grpc.unwrap(), &[b"h2"]).await;
    let operator = Operator::new(format!("https://localhost:{port}"));
    let ca = operator.home.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let said = operator.output(&["login", "--email", "admin@shop.example"], PASSWORD, &[]).await;
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("does not answer") && said.contains("certificate"), "{said}");
    let ca = [("ECOMM_CA", ca.to_str().unwrap())];
    let said = operator.output(&["login", "--email", "admin@shop.example"], PASSWORD, &ca).await;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let queue = operator.output(&["notification", "queue"], "", &ca).await;
    assert!(queue.status.success());
    app.end().await;
}
