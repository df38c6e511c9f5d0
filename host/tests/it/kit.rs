//! What an author of components does, by the command line alone: no host, no database, no secret.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncBufReadExt;

use crate::app::eventually;
use crate::harness::tests;

tests! {
    without_runtime {
        a_project_is_begun_in_each_language
        what_cannot_be_begun_says_why
        what_is_missing_for_a_build_is_named
        the_built_ins_pass_their_own_tests
        golden_answers_are_kept_and_compared
        what_fails_is_made_small_and_kept
        a_component_that_reads_the_clock_is_impure
        later_retries_that_come_sooner_are_found
        a_mail_is_shown
        costs_are_shown_beside_the_built_in
        a_contract_edited_by_hand_is_refused
        a_build_says_what_it_does
    }
    once {
        a_page_follows_what_an_author_writes
    }
}

const LANGUAGES: [&str; 6] = ["rust", "ts", "js", "python", "go", "c"];

/// The command line: its exit status, and what it said.
fn ecomm(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    ecomm_with(folder, args, &[])
}

fn ecomm_with(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    command.env_clear().envs(environment.iter().copied()).env("ECOMM__LOG__FILTER", "off");
    // The compiler of these tests is not optimised.
    command.env("ECOMM__PLUGINS__CALL__TIME_MS_MAX", "60000");
    let output = command.current_dir(folder).arg("plugin").args(args).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

/// A project with this component in the place of what it would build.
fn project(slot: &str, wasm: &[u8], config: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (status, said) = ecomm(folder.path(), &["new", "mine", "--slot", slot, "--lang", "c"]);
    assert_eq!(status, Some(0), "{said}");
    let project = folder.path().join("mine");
    fs::create_dir_all(project.join("build")).unwrap();
    fs::write(project.join("build/plugin.wasm"), wasm).unwrap();
    fs::write(project.join("config.json"), config.to_string()).unwrap();
    (folder, project)
}

fn built_in(slot: ecomm::plugin::Slot) -> &'static [u8] {
    ecomm::plugin::builtin(slot)
}

fn misbehaving() -> Vec<u8> {
    fs::read(env!("MISBEHAVING_WASM")).unwrap()
}

fn a_project_is_begun_in_each_language() {
    let folder = tempfile::tempdir().unwrap();
    for slot in ["renderer", "policy"] {
        for language in LANGUAGES {
            let name = format!("{language}-{slot}");
            let (status, said) = ecomm(folder.path(), &["new", &name, "--slot", slot, "--lang", language]);
            assert_eq!(status, Some(0), "{said}");
            let project = folder.path().join(&name);
            for file in
                ["plugin.toml", "README.md", "config.json", ".gitignore", "wit/types.wit", "events/order-placed.json"]
            {
                assert!(project.join(file).is_file(), "{name}: {file}");
            }
            let all = |folder: &Path| -> String {
                let files =
                    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
                files.map(|file| fs::read_to_string(file).unwrap()).collect()
            };
            let texts = all(&project);
            assert!(!texts.contains("my-plugin") && texts.contains(&name), "{name}");
        }
    }
    for (from, source) in [("default-renderer", "renderer/locales/en.ftl"), ("default-policy", "policy/src/decide.rs")]
    {
        let (status, said) = ecomm(folder.path(), &["new", from, "--from", from]);
        assert_eq!(status, Some(0), "{said}");
        let project = folder.path().join(from);
        assert!(project.join(source).is_file());
        let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("members = [\"arena\", ") && manifest.contains("wit-bindgen"), "{manifest}");
        assert!(!manifest.contains("sqlx"), "only what it needs: {manifest}");
    }
}

fn what_cannot_be_begun_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let new = |args: &[&str]| {
        let (status, said) = ecomm(folder.path(), &[&["new"], args].concat());
        assert_ne!(status, Some(0), "{said}");
        said
    };
    let why = new(&["Not A Name", "--slot", "policy", "--lang", "rust"]);
    assert!(why.contains("take 1 to 40 lower-case letters, digits and hyphens, a letter first"), "{why}");
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/file"), "").unwrap();
    let why = new(&["full", "--slot", "policy", "--lang", "rust"]);
    assert!(why.contains("is there already and not empty"), "{why}");
    assert!(new(&["mine", "--slot", "policy"]).contains("--lang"));
    let (_, why) = ecomm(folder.path(), &["build", "full"]);
    assert!(why.contains("has no plugin.toml"), "{why}");
}

fn what_is_missing_for_a_build_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (language, get) in [
        ("rust", "cargo is missing: install Rust from https://rustup.rs"),
        ("ts", "npm is missing: install Node.js"),
        ("python", "python3 is missing: install Python"),
        ("go", "go is missing: install Go"),
        ("c", "clang is missing: install clang, lld, wasi-libc"),
    ] {
        ecomm(folder.path(), &["new", language, "--slot", "renderer", "--lang", language]);
        let (status, said) = ecomm_with(folder.path(), &["build", language], &[("PATH", "/nowhere")]);
        assert!(status == Some(1) && said.contains(get), "{said}");
    }
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let cargo = bin.join("cargo");
    fs::write(&cargo, "#!/bin/sh\necho cargo 1.60.0\n").unwrap();
    #[cfg(unix)]
    fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (_, said) = ecomm_with(folder.path(), &["build", "rust"], &[("PATH", &bin.display().to_string())]);
    assert!(said.contains("cargo is 1.60, and 1.85 or newer is needed: install Rust"), "{said}");
    let (status, said) = ecomm(folder.path(), &["test", "rust"]);
    assert!(status == Some(2) && said.contains("has not been built; run `ecomm plugin build rust`"), "{said}");
}

fn the_built_ins_pass_their_own_tests() {
    for slot in ecomm::plugin::Slot::ALL {
        let (_folder, project) = project(slot.as_str(), built_in(slot), &json!({}));
        let (status, said) = ecomm(&project, &["test", "--cases", "300", "--json"]);
        assert_eq!(status, Some(0), "{said}");
        let outcome: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&outcome["cases"], &outcome["failures"]), (&json!(300), &json!([])));
    }
}

fn golden_answers_are_kept_and_compared() {
    let (_folder, project) = project("renderer", built_in(ecomm::plugin::Slot::Renderer), &json!({}));
    let test = |more: &[&str]| ecomm(&project, &[&["test", "--cases", "0"], more].concat());
    let (status, said) = test(&[]);
    assert!(status == Some(0) && said.contains("no golden answers yet"), "{said}");
    let (status, said) = test(&["--accept"]);
    assert!(status == Some(0) && said.contains("42 golden files as accepted"), "{said}");
    let golden = project.join("golden/order-shipped.txt");
    let kept = fs::read_to_string(&golden).unwrap();
    assert!(kept.starts_with("Subject: Order 4242424242 is on its way\n"), "{kept}");
    assert!(project.join("golden/order-shipped.html").is_file());
    assert!(test(&[]).1.contains("42 golden files as accepted"));

    fs::write(&golden, kept.replacen("is on its way", "was sent", 1)).unwrap();
    fs::remove_file(project.join("golden/order-gift.html")).unwrap();
    let (status, said) = test(&[]);
    assert_eq!(status, Some(1), "{said}");
    for line in
        ["-Subject: Order 4242424242 was sent", "+Subject: Order 4242424242 is on its way", "CHANGED order-gift.html"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(test(&["--accept"]).0, Some(0));
    assert_eq!(fs::read_to_string(&golden).unwrap(), kept);

    fs::write(&golden, [b'S', 0xff]).unwrap();
    let (status, said) = test(&[]);
    assert!(
        status == Some(2) && said.contains("golden/order-shipped.txt: byte 1 is not UTF-8: save it as UTF-8"),
        "{said}"
    );
}

fn what_fails_is_made_small_and_kept() {
    let (_folder, project) = project("renderer", &misbehaving(), &json!({ "render": "unescaped" }));
    let (status, said) = ecomm(&project, &["test", "--cases", "400"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("FAILED html-escaped (generated): a text of the event became HTML: p > x-ecomm"), "{said}");
    let kept = fs::read_to_string(project.join("failing/html-escaped.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["event"]["kind"], "order.placed", "the simplest event that shows it: {kept}");
    assert_eq!(kept["event"]["customer"]["name"], "\"><x-ecomm x-ecomm-attribute='1'>");
    assert_eq!(kept["event"]["subject"]["order"]["lines"].as_array().unwrap().len(), 1);

    let (status, said) = ecomm(&project, &["test", "--cases", "0"]);
    assert!(status == Some(1) && said.contains("FAILED html-escaped (failing/html-escaped)"), "{said}");
    fs::write(project.join("config.json"), json!({ "render": "panic" }).to_string()).unwrap();
    let (status, said) = ecomm(&project, &["test", "--cases", "0"]);
    assert!(status == Some(2) && said.contains("the panic that was asked for"), "{said}");
}

fn a_component_that_reads_the_clock_is_impure() {
    let (_folder, project) = project("renderer", &misbehaving(), &json!({ "render": "clock" }));
    let (status, said) = ecomm(&project, &["test", "--cases", "10"]);
    assert!(status == Some(0) && said.contains("note: reads the clock, random numbers or the environment"), "{said}");
    let refuse = [("ECOMM__PLUGINS__IMPURE", "refuse")];
    let (status, said) = ecomm_with(&project, &["test", "--cases", "10"], &refuse);
    assert!(status == Some(2) && said.contains("another answer to the same question on the fixture"), "{said}");
}

fn later_retries_that_come_sooner_are_found() {
    let (_folder, project) = project("policy", &misbehaving(), &json!({ "on_failure": "sooner" }));
    let (status, said) = ecomm(&project, &["test", "--cases", "0"]);
    assert!(status == Some(1) && said.contains("FAILED retries-monotone"), "{said}");
    assert!(said.contains("deferred: 99000 ms after attempt 1, 98000 ms after the next"), "{said}");
    let settings = fs::read_to_string(project.join("plugin.toml")).unwrap();
    fs::write(project.join("plugin.toml"), settings.replace("retries_are_monotone = true", "delay_ms_max = 1"))
        .unwrap();
    let (_, said) = ecomm(&project, &["test", "--cases", "0"]);
    assert!(said.contains("FAILED delay-in-bounds") && said.contains("ms are more than 1 ms"), "{said}");
}

fn a_mail_is_shown() {
    let (_folder, project) = project("renderer", built_in(ecomm::plugin::Slot::Renderer), &json!({}));
    let (status, said) = ecomm(&project, &["render", "--event", "shipped", "--locale", "de", "--html", "out.html"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("Subject: ") && said.contains("4242424242") && said.contains("[fuel "), "{said}");
    let html = fs::read_to_string(project.join("out.html")).unwrap();
    assert!(html.contains("lang=\"de\""), "{html}");
    let (_, said) = ecomm(&project, &["render", "--event", "cart", "--json"]);
    assert!(said.contains("there is no event \"cart\": take one of account-closed, "), "{said}");
    let (_, said) = ecomm(&project, &["render", "--locale", "not a language"]);
    assert!(said.contains("the locale "), "{said}");
    let (_, said) = ecomm(&project, &["render", "build/plugin.wasm"]);
    assert!(said.contains("needs --slot renderer or --slot policy"), "{said}");
    let (status, said) = ecomm(&project, &["render", "build/plugin.wasm", "--slot", "renderer", "--json"]);
    let answers: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &answers[0]["question"]), (Some(0), &json!("render")));
    assert!(answers[0]["answer"]["email"]["html"].as_str().unwrap().starts_with("<!doctype html>"), "{said}");

    fs::write(project.join("config.json"), json!({ "render": "panic" }).to_string()).unwrap();
    fs::write(project.join("build/plugin.wasm"), misbehaving()).unwrap();
    let (status, said) = ecomm(&project, &["render"]);
    assert!(status == Some(1) && said.contains("the panic that was asked for"), "{said}");
}

fn costs_are_shown_beside_the_built_in() {
    let (_folder, project) = project("policy", built_in(ecomm::plugin::Slot::Policy), &json!({}));
    let (status, said) = ecomm(&project, &["bench", "--calls", "3", "--json"]);
    assert_eq!(status, Some(0), "{said}");
    let rows: Value = serde_json::from_str(&said).unwrap();
    assert!(rows[0]["fuel"].as_u64() > Some(0));
    assert_eq!(rows[0]["fuel"], rows[1]["fuel"], "the same component");
    let (_, said) = ecomm(&project, &["bench", "--calls", "3"]);
    assert!(said.contains("RATIO") && said.contains("1.00"), "{said}");
}

fn a_contract_edited_by_hand_is_refused() {
    let (_folder, project) = project("policy", built_in(ecomm::plugin::Slot::Policy), &json!({}));
    let wit = project.join("wit/types.wit");
    let text = fs::read_to_string(&wit).unwrap();
    fs::write(&wit, text.replace("record money {", "record money { cents: u8,")).unwrap();
    for command in ["build", "test"] {
        let (status, said) = ecomm(&project, &[command]);
        assert_ne!(status, Some(0), "{said}");
        assert!(
            said.contains("is not the contract that this ecomm offers") && said.contains("`ecomm plugin wit"),
            "{said}"
        );
    }
    // Of another version only the comments may be, and how the lines end.
    let reworded: String = text.lines().map(|line| line.replace("/// ", "/// As before: ") + "\r\n").collect();
    fs::write(&wit, reworded).unwrap();
    let (_, said) = ecomm(&project, &["test"]);
    assert!(!said.contains("is not the contract"), "{said}");
    assert_eq!(ecomm(&project, &["wit"]).0, Some(0));
    assert_eq!(fs::read_to_string(&wit).unwrap(), text);
    fs::write(project.join("wit/mine.wit"), "package my:own;").unwrap();
    let (_, said) = ecomm(&project, &["test"]);
    assert!(said.contains("wit/mine.wit is not the contract"), "{said}");
}

/// A toolchain that says what cargo and rustc would, and has built this component.
fn toolchain(folder: &Path, wasm: &Path) -> String {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let artifact = json!({ "reason": "compiler-artifact", "filenames": [wasm] });
    let cargo = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo cargo 1.95.0; exit; fi\n\
         if [ -e broken ]; then echo 'error: it does not compile' >&2; exit 101; fi\n\
         echo '   Compiling mine' >&2\necho '{artifact}'\n"
    );
    for (name, script) in [("cargo", cargo.as_str()), ("rustc", "#!/bin/sh\necho /\n")] {
        let file = bin.join(name);
        fs::write(&file, script).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    format!("{}:/usr/bin:/bin", bin.display())
}

/// A project in Rust, and the PATH of a toolchain that makes the built-in renderer of it.
fn project_with_toolchain() -> (TempDir, PathBuf, String) {
    let (folder, project) = project("renderer", &[], &json!({}));
    let wasm = folder.path().join("made.wasm");
    fs::write(&wasm, built_in(ecomm::plugin::Slot::Renderer)).unwrap();
    let path = toolchain(folder.path(), &wasm);
    let settings = project.join("plugin.toml");
    fs::write(&settings, fs::read_to_string(&settings).unwrap().replace("\"c\"", "\"rust\"")).unwrap();
    (folder, project, path)
}

fn a_build_says_what_it_does() {
    let (_folder, project, path) = project_with_toolchain();
    let build = || ecomm_with(&project, &["build"], &[("PATH", &path)]);
    let (status, said) = build();
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("+ cargo build --release --target wasm32-wasip2") && said.contains("Compiling mine"),
        "{said}"
    );
    assert!(!said.contains("compiler-artifact"), "what is for programs is not shown: {said}");
    assert_eq!(fs::read(project.join("build/plugin.wasm")).unwrap(), built_in(ecomm::plugin::Slot::Renderer));
    fs::write(project.join("broken"), "").unwrap();
    let (status, said) = build();
    assert!(status == Some(1) && said.contains("error: it does not compile"), "{said}");
    assert!(said.contains("` failed (exit status: 101)"), "{said}");
}

/// The page of `dev`: what it asks for, when it is told to ask again, and who may ask.
async fn a_page_follows_what_an_author_writes() {
    let (_folder, project, path) = project_with_toolchain();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ecomm"));
    command.env_clear().env("PATH", &path).env("ECOMM__LOG__FILTER", "off").current_dir(&project);
    command.env("ECOMM__PLUGINS__CALL__TIME_MS_MAX", "60000").args(["plugin", "dev", "--port", "0"]);
    let mut dev = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(dev.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let address = first.split(' ').next().unwrap().to_owned();
    // What it says is read, so that it can say more.
    let mut reading = tokio::task::JoinSet::new();
    reading.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let http = reqwest::Client::new();
    let shown = async |query: &str| -> Value {
        http.get(format!("{address}/shown?{query}")).send().await.unwrap().json().await.unwrap()
    };
    let until = async |what: &str, query: &str, holds: &dyn Fn(&Value) -> bool| {
        eventually(what, async || holds(&shown(query).await)).await;
        shown(query).await
    };
    let told = until("it is tested", "event=order-shipped&locale=de", &|told| told["outcome"].is_object()).await;
    assert_eq!((&told["state"], &told["outcome"]["failures"]), (&json!("ready"), &json!([])), "{told}");
    let text = told["answers"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("Subject: ") && text.contains("4242424242"), "{text}");
    assert!(told["answers"][0]["html"].as_str().unwrap().contains("lang=\"de\""), "{told}");
    assert_eq!(told["answers"][0]["costs"][0]["of"], "fuel");
    assert!(told["events"].as_array().unwrap().contains(&json!("order-gift")));
    let page = http.get(&address).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("EventSource(\"/changes\")"));

    // A config needs no build, and an event is there as soon as it is written.
    fs::write(project.join("config.json"), json!({ "from_name": "Tea" }).to_string()).unwrap();
    until("the config is taken", "", &|told| told["answers"][0]["text"].as_str().unwrap().contains("From-Name: Tea"))
        .await;
    fs::copy(project.join("events/order-gift.json"), project.join("events/another.json")).unwrap();
    let has_another = |told: &Value| told["events"].as_array().unwrap().contains(&json!("another"));
    until("the event is seen", "", &has_another).await;

    // What does not build leaves what was built before.
    fs::write(project.join("broken"), "").unwrap();
    let told = until("the build fails", "", &|told| told["state"] == "failed").await;
    assert!(told["lines"].to_string().contains("it does not compile"), "{told}");
    assert!(told["answers"][0]["html"].is_string(), "{told}");
    let elsewhere = http.get(format!("{address}/shown")).header("host", "attacker.example").send().await.unwrap();
    assert_eq!(elsewhere.status().as_u16(), 403);
    dev.kill().await.unwrap();
    reading.join_all().await;
}
