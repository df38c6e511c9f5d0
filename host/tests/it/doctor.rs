//! `ecomm doctor`: what is well is said to be, and each thing that is not comes with what to do.

use std::process::Command;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::doctor::{Check, Finding, Level, Options, examine};
use serde_json::Value;
use tokio::net::UdpSocket;

use crate::app::{App, environment, sqlite};
use crate::database::Database;
use crate::harness::tests;
use crate::relay::rig;

tests! {
    on_each_database {
        a_host_that_is_well_is_found_well
        a_schema_that_does_not_fit_is_found
        rows_edited_in_the_database_are_found_and_can_be_queued_anew
    }
    once {
        what_is_wrong_comes_with_what_to_do
        a_certificate_that_ends_soon_is_found
        mails_of_a_mailbox_for_everybody_are_a_fault
    }
    without_runtime {
        settings_that_cannot_be_read_are_a_finding
        the_guide_names_each_check
    }
}

const DOMAIN: &str = "teashop.shop";

/// A name server of one thread that knows what one domain publishes.
pub async fn name_server(records: &'static [(&'static str, &'static str)]) -> std::net::SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the runtime of the test")]
    tokio::spawn(async move {
        let mut question = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let answer = answer(&question[..length], records);
            let _ = socket.send_to(&answer, from).await;
        }
    });
    address
}

/// RFC 1035 4: the question back, then what is known of its name and type.
fn answer(message: &[u8], records: &[(&str, &str)]) -> Vec<u8> {
    let mut at = 12;
    let mut labels = Vec::new();
    while message[at] != 0 {
        let length = usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    let question_end = at + 5;
    let (name, kind) = (labels.join("."), u16::from_be_bytes([message[at + 1], message[at + 2]]));
    let known: Vec<Vec<u8>> =
        records.iter().filter(|(of, _)| *of == name).filter_map(|(_, data)| record(data, kind)).collect();
    let count = u16::try_from(known.len()).unwrap();
    let mut answer = message[..2].to_vec();
    answer.extend([0x85, 0x80, 0, 1]);
    answer.extend(count.to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(&message[12..question_end]);
    for data in known {
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        answer.extend(data);
    }
    answer
}

fn record(data: &str, kind: u16) -> Option<Vec<u8>> {
    const MX: u16 = 15;
    const TXT: u16 = 16;
    match (data.strip_prefix("MX "), kind) {
        (Some(host), MX) => {
            let mut encoded = vec![0, 10];
            for label in host.split('.') {
                encoded.push(u8::try_from(label.len()).unwrap());
                encoded.extend(label.bytes());
            }
            encoded.push(0);
            Some(encoded)
        }
        (None, TXT) => {
            // Two strings, which are one text.
            let (first, second) = data.split_at(data.len() / 2);
            let string = |part: &str| [&[u8::try_from(part.len()).unwrap()], part.as_bytes()].concat();
            Some([string(first), string(second)].concat())
        }
        _ => None,
    }
}

const PUBLISHED: &[(&str, &str)] = &[
    (DOMAIN, "v=spf1 include:relay.example -all"),
    (DOMAIN, "another text"),
    (DOMAIN, "MX mail.teashop.shop"),
    ("_dmarc.teashop.shop", "v=DMARC1; p=none"),
    ("spring._domainkey.teashop.shop", "v=DKIM1; k=rsa; p=MIIB"),
    ("old._domainkey.teashop.shop", "v=DKIM1; p="),
];

/// The settings of a host with a relay and a sender of its own.
fn settings(database: &Database, relay: &str) -> Vec<(String, String)> {
    let more = [
        ("MAILBOX__ENABLED", "false"),
        ("MAIL__FROM", "orders@teashop.shop"),
        ("AUTH__SECRET", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        ("MAIL__RELAYS", relay),
    ];
    environment(database, &more)
}

fn doctor(environment: Vec<(String, String)>, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    let output = command.arg("doctor").args(args).envs(environment).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
}

async fn a_host_that_is_well_is_found_well(database: Database) {
    let app = App::start(database).await;
    app.order().await;
    let rig = rig(|_| {}, None).await;
    let relay = format!(r#"[{{ name = "default", host = "127.0.0.1", port = {}, tls = "none" }}]"#, rig.port);
    let resolver = name_server(PUBLISHED).await.to_string();
    let args = ["--resolver", &resolver, "--dkim-selector", "spring", "--send-test", "ada@example.com"];
    let (is_well, said) = doctor(settings(&app.database, &relay), &[&args[..], &["--json"]].concat());
    assert!(is_well, "{said}");
    let findings: Vec<Value> = serde_json::from_str(&said).unwrap();
    let of = |check: &str| findings.iter().filter(|f| f["check"] == check).collect::<Vec<_>>();
    // Each but the certificate, which a relay without TLS has not.
    for check in Check::ALL.into_iter().filter(|check| *check != Check::Certificate) {
        assert!(!of(check.as_str()).is_empty(), "{check:?}: {said}");
    }
    let known = ["SMTPUTF8", "GiB", "database.url", "MiB"];
    for finding in findings.iter().filter(|f| f["level"] != "ok") {
        // This machine's disk, and databases of tests, may give reasons of their own.
        let says = finding["says"].as_str().unwrap();
        let is_ours = ["disk", "secrets", "database"].contains(&finding["check"].as_str().unwrap());
        assert!(is_ours || known.iter().any(|word| says.contains(word)), "{finding}");
    }
    assert_eq!(of("queue")[0]["says"], "1 queued, 0 under way");
    assert!(of("reputation")[0]["says"].as_str().unwrap().starts_with("0 mails were sent"), "{said}");
    let dns: Vec<&str> = of("dns").iter().map(|f| f["says"].as_str().unwrap()).collect();
    assert_eq!(
        dns,
        [
            "SPF: v=spf1 include:relay.example -all",
            "DMARC: v=DMARC1; p=none",
            "DKIM: the key is published",
            "1 MX: answers and bounces come back"
        ]
    );
    // The test mail came by the relay; nothing that the shop queued did.
    let received = rig.mailbox.messages();
    assert_eq!(received.len(), 1);
    let mail = String::from_utf8_lossy(&received[0].bytes).into_owned();
    assert!(mail.contains("Subject: Test mail of My Shop") && mail.contains("@teashop.shop>"), "{mail}");
    // The same for people.
    let (_, said) = doctor(settings(&app.database, &relay), &args);
    assert!(said.contains("0 at fault\n") && said.contains("number "), "{said}");
    assert_eq!(app.queued().await, 1, "nothing was claimed");
    // A thousand mails, of which a few were unwanted.
    for n in 1..=10 {
        let rows: Vec<String> = (0..100)
            .map(|i| format!("({}, 1, 'm{n}-{i}', 'order.placed', 'sent', 1, '', 1, 1)", 1_000 * n + i))
            .collect();
        let columns = "lane, place, message_id, kind, state, attempts, reason, created_at, completed_at";
        app.database.execute(&format!("insert into notification_states ({columns}) values {}", rows.join(", "))).await;
    }
    // One of them is reported twice.
    for (mail, digest) in [(500, "a"), (500, "b"), (600, "c")] {
        let columns = "state_id, digest, kind, words, reporter, received_at";
        let row = format!("({mail}, '{digest}', 'complained', '', '', 1)");
        app.database.execute(&format!("insert into notification_reports ({columns}) values {row}")).await;
    }
    let (_, said) = doctor(settings(&app.database, &relay), &args[..2]);
    assert!(said.contains("2 of the last 1000 mails, 0.20 %"), "{said}");
    app.client.ok("POST", "/v1/queue/pause", &app.admin, Some(serde_json::json!({ "why": "for a test" }))).await;
    let (is_well, said) = doctor(settings(&app.database, &relay), &args[..2]);
    assert!(!is_well && said.contains("paused by user 1: for a test"), "{said}");
    app.end().await;
}

async fn a_schema_that_does_not_fit_is_found(database: Database) {
    let app = App::start(database).await;
    let config = Config::load(None, environment(&app.database, &[])).unwrap();
    let schema = async || {
        let findings = examine(&config, &Options::default(), &Clock::system()).await;
        let schema = findings.into_iter().find(|f| f.check == Check::Schema).unwrap();
        (schema.level, schema.says)
    };
    assert_eq!(schema().await.0, Level::Ok);
    app.database.execute("update _sqlx_migrations set success = false where version = 3").await;
    assert_eq!(schema().await, (Level::Fault, "step 3 was applied half-way, or is not this program's".to_owned()));
    app.database.execute("delete from _sqlx_migrations where version = 3").await;
    assert_eq!(schema().await, (Level::Warning, "steps 3 are still to be applied".to_owned()));
    app.end().await;
}

fn level(findings: &[Finding], check: Check) -> Level {
    findings.iter().filter(|f| f.check == check).map(|f| f.level).max().unwrap()
}

async fn what_is_wrong_comes_with_what_to_do() {
    let database = sqlite().await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let relay = format!(r#"[{{ name = "gone", host = "127.0.0.1", port = {nobody}, tls = "none" }}]"#);
    let mut config = Config::load(None, settings(&database, &relay)).unwrap();
    config.auth.secret = "-".repeat(40).into();
    let published = &[(DOMAIN, "v=spf1 -all"), (DOMAIN, "v=spf1 +all"), ("old._domainkey.teashop.shop", "v=DKIM1; p=")];
    let options = Options {
        resolver: Some(name_server(published).await),
        dkim_selectors: vec!["old".to_owned(), "none".to_owned()],
        ..Options::default()
    };
    let findings = examine(&config, &options, &Clock::system()).await;
    assert_eq!(level(&findings, Check::Secrets), Level::Warning);
    assert_eq!(level(&findings, Check::Relay), Level::Fault);
    let database_says = &findings.iter().find(|f| f.check == Check::Database).unwrap().says;
    assert!(database_says.contains("is not there yet"), "{database_says}");
    assert!(!database.folder.path().join("test.db").exists(), "a check-up makes nothing");
    let dns: Vec<&str> = findings.iter().filter(|f| f.check == Check::Dns).map(|f| f.says.as_str()).collect();
    assert!(dns[0].contains("2 SPF records") && dns[1].contains("0 DMARC"), "{dns:?}");
    assert!(dns[2].contains("revoked") && dns[3].contains("no DKIM key") && dns[4].contains("no MX"), "{dns:?}");
    for finding in findings.iter().filter(|f| f.level != Level::Ok) {
        assert!(!finding.advice.is_empty(), "{finding:?}");
    }
    // SPF is that of the domain that mails come back to.
    let says = async |return_path: &str| {
        let published = &[
            (DOMAIN, "MX mail.teashop.shop"),
            ("back.teashop.shop", "v=spf1 include:relay.example -all"),
            ("back.teashop.shop", "MX mail.teashop.shop"),
        ];
        let options = Options { resolver: Some(name_server(published).await), ..Options::default() };
        let mut config = config.clone();
        config.mail.return_path = Some(return_path.to_owned().try_into().unwrap());
        let findings = examine(&config, &options, &Clock::system()).await;
        findings.into_iter().filter(|f| f.check == Check::Dns).map(|f| f.says).collect::<Vec<_>>().join("\n")
    };
    let good = says("bounces@back.teashop.shop").await;
    for part in ["SPF: v=spf1 include:relay.example", "1 MX: answers come back", "1 MX: bounces come back"] {
        assert!(good.contains(part), "{part}: {good}");
    }
    let bad = says("bounces@elsewhere.shop").await;
    for part in
        ["no SPF record", "no MX record: bounces do not come back", "DMARC does not count its SPF for teashop.shop"]
    {
        assert!(bad.contains(part), "{part}: {bad}");
    }
    // No resolver is a warning; that a sender is nobody's is said without one.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let options = Options { resolver: Some(silent.local_addr().unwrap()), ..Options::default() };
    let findings = examine(&config, &options, &Clock::system()).await;
    let dns: Vec<&Finding> = findings.iter().filter(|f| f.check == Check::Dns).collect();
    assert!(dns.len() == 1 && dns[0].says.contains("no resolver answered"), "{dns:?}");
    config.mail.from = "orders@shop.example".to_owned().try_into().unwrap();
    let findings = examine(&config, &options, &Clock::system()).await;
    assert!(findings.iter().any(|f| f.check == Check::Dns && f.says.contains("for examples only")));
}

async fn mails_of_a_mailbox_for_everybody_are_a_fault() {
    let mut environment = environment(&sqlite().await, &[("MAIL__FROM", "our.shop@gmail.com")]);
    environment.retain(|(key, _)| !key.ends_with("MAILBOX__ENABLED"));
    let (is_well, said) = doctor(environment, &[]);
    assert!(!is_well && said.contains("mails are from gmail.com, for which nobody else may send"), "{said}");
}

async fn a_certificate_that_ends_soon_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let ends_in = async |days: i64| {
        let (pem, acceptor) = crate::tls::certificate_for(days);
        let authority = folder.path().join("ca.pem");
        std::fs::write(&authority, pem).unwrap();
        let rig = rig(|s| s.deadlines.command_ms_max = 5_000, Some(acceptor)).await;
        let relay = format!(
            r#"[{{ name = "default", host = "localhost", port = {}, ca_path = "{}" }}]"#,
            rig.port,
            authority.display()
        );
        // A name for examples: nobody is asked about it.
        let more = [("MAIL__RELAYS", relay.as_str())];
        let config = Config::load(None, environment(&sqlite().await, &more)).unwrap();
        let findings = examine(&config, &Options::default(), &Clock::system()).await;
        findings.into_iter().find(|f| f.check == Check::Certificate || f.level == Level::Fault).unwrap()
    };
    let soon = ends_in(5).await;
    assert_eq!(soon.level, Level::Warning, "{soon:?}");
    assert!(soon.says.contains("4 more days"), "{soon:?}");
    assert_eq!(ends_in(60).await.level, Level::Ok);
    let over = ends_in(-1).await;
    assert!(over.check == Check::Relay && over.says.to_lowercase().contains("expired"), "{over:?}");
}

fn settings_that_cannot_be_read_are_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("ecomm.toml");
    std::fs::write(&wrong, "[queue]\nleas_ms = 3\n").unwrap();
    let (is_well, said) = doctor(Vec::new(), &["--config", wrong.to_str().unwrap(), "--json"]);
    let findings: Vec<Value> = serde_json::from_str(&said).unwrap();
    assert!(!is_well && findings.len() == 1, "{said}");
    assert!(findings[0]["check"] == "settings" && findings[0]["says"].as_str().unwrap().contains("queue"), "{said}");
    let (is_well, said) = doctor(Vec::new(), &["--send-test", "nobody"]);
    assert!(!is_well && said.contains("--send-test"), "{said}");
}

fn the_guide_names_each_check() {
    let guide = include_str!("../../../docs/operators.md");
    let section = guide.split("\n## A check-up\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let named: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(named, Check::ALL.map(Check::as_str));
}

/// Nothing is dropped without a word, others go on, and what is found can be mended by what is advised.
async fn rows_edited_in_the_database_are_found_and_can_be_queued_anew(database: Database) {
    let app = App::start(database).await;
    for _ in 0..5 {
        app.order().await;
    }
    let ids = app.database.texts("select concat(id, '') from notification_states order by id").await;
    let [lost, ended, far, backwards, other] = ids.try_into().unwrap();
    let queue = "notification_events_queue";
    let edits = [
        format!("delete from {queue} where state_id = {lost}"),
        format!("update notification_states set state = 'sent' where id = {ended}"),
        format!("update {queue} set due_at = 253402300799000 where state_id = {far}"),
        format!(
            "insert into notification_attempts (state_id, epoch, kind, repeats, started_at) \
             values ({backwards}, 7, 'send', 1, 1)"
        ),
    ];
    for edit in &edits {
        app.database.execute(edit).await;
    }
    let (is_well, said) = doctor(environment(&app.database, &[]), &["--json"]);
    assert!(!is_well, "{said}");
    let findings: Vec<Value> = serde_json::from_str(&said).unwrap();
    let found = |id: &str| {
        let of = format!("notification {id}");
        findings.iter().find(|f| f["subject"] == of.as_str()).map(|f| f["says"].as_str().unwrap().to_owned())
    };
    assert!(found(&lost).unwrap().contains("not queued"), "{said}");
    assert!(found(&ended).unwrap().contains("queued all the same"), "{said}");
    assert!(found(&far).unwrap().contains("due later than any policy"), "{said}");
    assert!(found(&backwards).unwrap().contains("epoch is below"), "{said}");
    assert_eq!(found(&other), None);
    // What is advised.
    app.database.execute(&format!("delete from {queue} where state_id = {ended}")).await;
    for id in [&lost, &far, &backwards] {
        for act in ["hold", "retry"] {
            let path = format!("/v1/notifications/{id}/{act}");
            app.client.ok("POST", &path, &app.admin, Some(serde_json::json!({ "why": "edited" }))).await;
        }
    }
    app.drain().await;
    assert_eq!(app.mailbox.messages().len(), 4);
    let (_, said) = doctor(environment(&app.database, &[]), &["--json"]);
    assert!(!said.contains("notification "), "{said}");
    app.end().await;
}
