//! Mails are signed by the sender's domain, so that somebody who is not the signer finds them whole: dkimpy, in Debian's Python.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::doctor::{Check, Level, Options, examine};
use ecomm::mail::Mailer;
use ecomm::mail::mailbox::Phase;
use libtest_mimic::Trial;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};

use crate::app::{App, environment, reply, sqlite};
use crate::doctor::name_server;
use crate::harness::{self, tests};

tests! {
    once {
        a_key_signs_in_its_time
        keys_are_made_once_and_said
        what_cannot_sign_is_refused
        doctor_looks_for_the_key_that_signs
    }
}

/// The test that needs another implementation.
pub fn with_dkimpy() -> Vec<Trial> {
    let name = "dkim::each_mail_is_whole_to_another_implementation";
    let Some(python) = python() else {
        return vec![harness::lacking(name.to_owned(), "dkimpy is not installed".to_owned())];
    };
    vec![harness::trial(name, move || harness::run(2, each_mail_is_whole_to_another_implementation(python)))]
}

fn python() -> Option<&'static str> {
    let knows = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import dkim, nacl"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    ["/usr/bin/python3", "python3"].into_iter().find(knows)
}

/// Runs `ecomm dkim`; whether it did, and what it said.
fn ecomm(args: &[&str], environment: Vec<(String, String)>) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ecomm")).arg("dkim").args(args).envs(environment).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
}

/// Makes a key of shop.example; the settings that name it and its line of the zone.
fn new(folder: &Path, algorithm: &str, selector: &str) -> (String, String) {
    let out = folder.join(format!("{selector}.pem")).display().to_string();
    let args = ["new", "--algorithm", algorithm, "--domain", "shop.example", "--selector", selector, "--out", &out];
    let (is_made, said) = ecomm(&args, Vec::new());
    assert!(is_made, "{said}");
    let settings = format!(r#"{{ domain = "shop.example", selector = "{selector}", key_path = "{out}" }}"#);
    (settings, said.lines().last().unwrap().to_owned())
}

/// The name and the text of a line of a zone.
fn record(line: &str) -> (String, String) {
    let (name, rest) = line.split_once(". 3600 IN TXT ( ").unwrap();
    let strings = rest.trim_end_matches(" )").split("\" \"").map(|part| part.trim_matches('"'));
    (name.to_owned(), strings.collect())
}

/// Says of each signature of a mail whether it is good.
fn verify(python: &str, mail: &[u8], lines: &[&String]) -> Vec<bool> {
    const SCRIPT: &str = "import sys, json, dkim\n\
        records = json.loads(sys.argv[1])\n\
        mail = sys.stdin.buffer.read()\n\
        find = lambda name, timeout=5: records.get(name.decode().rstrip('.'), '').encode()\n\
        count = mail[:mail.index(b'\\r\\n\\r\\n')].lower().count(b'dkim-signature:')\n\
        def good(n):\n\
        \x20   try: return bool(dkim.DKIM(mail).verify(idx=n, dnsfunc=find))\n\
        \x20   except dkim.DKIMException as e: return False\n\
        print(json.dumps([good(n) for n in range(count)]))";
    let records: serde_json::Map<String, Value> = lines.iter().map(|l| record(l)).map(|(n, t)| (n, json!(t))).collect();
    let mut child = Command::new(python)
        .args(["-c", SCRIPT, &Value::from(records).to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(mail).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn each_mail_is_whole_to_another_implementation(python: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let (rsa, rsa_line) = new(folder.path(), "rsa", "s2026");
    let (ed25519, ed25519_line) = new(folder.path(), "ed25519", "e2026");
    let lines = [&rsa_line, &ed25519_line];
    let keys = format!("[{ed25519}, {rsa}]");
    let app = App::with(sqlite().await, &[("MAIL__DKIM", &keys)]).await;
    // A name that needs encoding, and a mail that comes at its second attempt.
    let name = json!({ "name": "Ádá Lövelace, Gräfin 北京 of a name that is folded for it is so very long" });
    app.client.ok("PATCH", &format!("/v1/users/{}", app.customer_id().await), &app.admin, Some(name)).await;
    app.fail(Phase::Body, reply("451 4.3.0 try again"), 1);
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.mailbox.messages().len(), 0);
    app.clock.advance(3_600_000);
    app.drain().await;
    let mails = app.mailbox.messages();
    let mail = &mails[0].bytes;
    assert_eq!(verify(python, mail, &lines), [true, true], "{}", String::from_utf8_lossy(mail));
    let text = String::from_utf8(mail.to_vec()).unwrap();
    let signatures = text.split("\r\nFrom: ").next().unwrap();
    assert!(signatures.lines().all(|line| line.len() <= 78), "{text}");
    // Whatever is changed or added is seen.
    let forged = [
        text.replacen("Subject: ", "Subject: Not ", 1),
        text.replacen("From: ", "From: eve@evil.example\r\nFrom: ", 1),
        text.replacen("\r\nSubject: ", "\r\nReply-To: eve@evil.example\r\nSubject: ", 1),
        text.replacen("\r\nTo: ", "\r\nList-Unsubscribe: <https://evil.example>\r\nTo: ", 1),
        format!("{text}more\r\n"),
    ];
    for forged in forged {
        assert_ne!(forged, text);
        assert_eq!(verify(python, forged.as_bytes(), &lines), [false, false], "{forged}");
    }
    // What relays may do is not.
    let (headers, body) = text.split_once("\r\n\r\n").unwrap();
    let passed_on = [
        format!("Received: from a by b;\r\n Mon, 1 Jan 2026 00:00:00 +0000\r\n{text}"),
        format!("{}\r\n\r\n{body}\r\n\r\n", headers.replacen("Subject: ", "SUBJECT:   ", 1)),
    ];
    for passed_on in passed_on {
        assert_eq!(verify(python, passed_on.as_bytes(), &lines), [true, true], "{passed_on}");
    }
    // It is a part of what the journal's hash is of, and comes out again.
    let id = app.notifications(order).await[0]["id"].as_i64().unwrap();
    let path = format!("/v1/notifications/{id}/reproduction");
    let again = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!((&again["is_same"], again["message"].as_str()), (&json!(true), Some(text.as_str())));
    app.end().await;
}

async fn a_key_signs_in_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let [old, next] = ["old", "next"].map(|selector| new(folder.path(), "ed25519", selector).0);
    let turn = ecomm::clock::rfc3339::text(Clock::system().now_ms() + 3_600_000);
    let ends = old.replace(" }", &format!(r#", signs_until = "{turn}" }}"#));
    let begins = next.replace(" }", &format!(r#", signs_from = "{turn}" }}"#));
    let app = App::with(sqlite().await, &[("MAIL__DKIM", &format!("[{ends}, {begins}]"))]).await;
    let selectors = |n: usize| {
        let text = String::from_utf8(app.mailbox.messages()[n].bytes.to_vec()).unwrap();
        let signed =
            text.lines().filter_map(|line| line.trim().strip_prefix("s=")).map(|s| s.split(';').next().unwrap());
        signed.map(str::to_owned).collect::<Vec<_>>()
    };
    app.order().await;
    app.drain().await;
    assert_eq!(selectors(0), ["old"]);
    // What was begun before goes on as it was dated.
    app.fail(Phase::Body, reply("451 4.3.0 try again"), 1);
    app.order().await;
    app.drain().await;
    app.clock.advance(3_600_000);
    app.drain().await;
    app.order().await;
    app.drain().await;
    assert_eq!((selectors(1), selectors(2)), (vec!["old".to_owned()], vec!["next".to_owned()]));
    app.end().await;
}

async fn keys_are_made_once_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let (rsa, rsa_line) = new(folder.path(), "rsa", "s2026");
    let (ed25519, ed25519_line) = new(folder.path(), "ed25519", "e2026");
    let (name, text) = record(&rsa_line);
    assert_eq!(name, "s2026._domainkey.shop.example");
    assert!(text.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"), "{text}");
    assert!(rsa_line.split('"').all(|part| part.len() <= 255), "{rsa_line}");
    let (_, text) = record(&ed25519_line);
    assert_eq!(text.strip_prefix("v=DKIM1; k=ed25519; p=").map(str::len), Some(44), "{text}");
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("s2026.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Never over another key.
    let before = std::fs::read(folder.path().join("s2026.pem")).unwrap();
    let out = folder.path().join("s2026.pem").display().to_string();
    let (is_made, said) = ecomm(&["new", "--domain", "shop.example", "--selector", "s2026", "--out", &out], Vec::new());
    assert!(!is_made && said.contains("s2026.pem") && said.contains("exists"), "{said}");
    assert_eq!(std::fs::read(&out).unwrap(), before);
    for (domain, selector) in [("shop.example", "s_1"), ("localhost", "s1"), ("shop..example", "s1")] {
        let out = folder.path().join("wrong.pem").display().to_string();
        let (is_made, said) = ecomm(&["new", "--domain", domain, "--selector", selector, "--out", &out], Vec::new());
        assert!(!is_made && said.contains("expected"), "{said}");
        assert!(!folder.path().join("wrong.pem").exists());
    }
    // Those of the settings, as they were printed.
    let database = sqlite().await;
    let (is_said, said) = ecomm(&["dns"], environment(&database, &[("MAIL__DKIM", &format!("[{rsa}, {ed25519}]"))]));
    assert!(is_said, "{said}");
    assert_eq!(said.lines().collect::<Vec<_>>(), [rsa_line, ed25519_line]);
    let (is_said, said) = ecomm(&["dns"], environment(&database, &[]));
    assert!(!is_said && said.contains("names no key"), "{said}");
}

async fn what_cannot_sign_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = new(folder.path(), "ed25519", "s1");
    let short = folder.path().join("short.pem");
    let weak = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1_024).unwrap();
    std::fs::write(&short, weak.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
    let junk = folder.path().join("junk.pem");
    std::fs::write(&junk, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let file =
        |path: &Path| format!(r#"{{ domain = "shop.example", selector = "s1", key_path = "{}" }}"#, path.display());
    let many: Vec<String> = (0..17).map(|n| key.replace("\"s1\"", &format!("\"s{n}\""))).collect();
    let backwards =
        key.replace(" }", r#", signs_from = "2026-02-01T00:00:00Z", signs_until = "2026-02-01T00:00:00Z" }"#);
    for (keys, expected) in [
        (file(Path::new("/nowhere/s1.pem")), "/nowhere/s1.pem: No such file"),
        (file(&short), "an RSA key of 1024 bits: expected 2048 to 4096"),
        (file(&junk), "not a private key of RSA or Ed25519"),
        (r#"{ domain = "shop.example", selector = "s1" }"#.to_owned(), "set either key_path or key"),
        (key.replace("\"s1\"", "\"a b\""), "\"a b\" is no selector"),
        (
            key.replace("shop.example\"", "other.example\""),
            "mails are from shop.example, so that a key of other.example",
        ),
        (key.replace("shop.example\"", "example\""), "\"example\" is no domain"),
        (format!("{key}, {key}"), "two keys with the selector \"s1\""),
        (many.join(", "), "at most 16 keys"),
        (backwards, "not after signs_from"),
    ] {
        let settings = environment(&sqlite().await, &[("MAIL__DKIM", &format!("[{keys}]"))]);
        let mut config = Config::load(None, settings).unwrap();
        config.mail.relays.push(ecomm::mail::RelaySettings {
            tls: ecomm::mail::Tls::None,
            ..ecomm::mail::RelaySettings::new("default", "127.0.0.1", 1)
        });
        let refused = Mailer::new(config.mail, &Clock::system()).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(refused.contains(expected), "{refused}");
    }
    let settings =
        environment(&sqlite().await, &[("MAIL__DKIM", &format!("[{}]", key.replace("key_path", "keypath")))]);
    assert!(Config::load(None, settings).unwrap_err().to_string().contains("keypath"));
}

async fn doctor_looks_for_the_key_that_signs() {
    const DOMAIN: &str = "teashop.shop";
    let folder = tempfile::tempdir().unwrap();
    let [ours, other] = ["ours", "other"].map(|selector| {
        let (settings, line) = new(folder.path(), "rsa", selector);
        (settings.replace("shop.example", DOMAIN), record(&line).1)
    });
    let missing = new(folder.path(), "ed25519", "missing").0.replace("shop.example", DOMAIN);
    // As zones have them: with blanks between the tags and within the key.
    let spaced = ours.1.replace("p=", "p= ").replace("AQ8A", "AQ8A ");
    let published = [("ours._domainkey.teashop.shop", spaced.as_str()), ("other._domainkey.teashop.shop", &ours.1)];
    let published: Vec<(&'static str, &'static str)> =
        published.iter().map(|(name, text)| (*name, &*text.to_string().leak())).collect();
    let keys = format!("[{}, {}, {missing}]", ours.0, other.0);
    let settings = environment(&sqlite().await, &[("MAIL__DKIM", &keys), ("MAIL__FROM", &format!("orders@{DOMAIN}"))]);
    let config = Config::load(None, settings).unwrap();
    std::fs::set_permissions(folder.path().join("other.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    let options = Options { resolver: Some(name_server(published.leak()).await), ..Options::default() };
    let findings = examine(&config, &options, &Clock::system()).await;
    let of = |selector: &str| {
        let name = format!("{selector}._domainkey.{DOMAIN}");
        let found = findings.iter().find(|f| f.check == Check::Dns && f.subject == name).unwrap();
        (found.level, found.says.as_str(), found.advice.as_str())
    };
    assert_eq!(of("ours"), (Level::Ok, "DKIM: the key that signs is published", ""));
    assert!(of("other").0 == Level::Fault && of("other").1.contains("another key is published there"));
    assert!(of("missing").0 == Level::Fault && of("missing").1.contains("it is not published"));
    assert!(of("other").2.contains(&other.1), "the record to publish is told: {}", of("other").2);
    let readable: Vec<&str> = findings.iter().filter(|f| f.subject == "mail.dkim").map(|f| f.says.as_str()).collect();
    assert!(readable.len() == 1 && readable[0].contains("other.pem"), "{readable:?}");
}
