//! What mail programs and spam filters make of the default mails.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use ecomm::clock::Clock;
use ecomm::mail::dkim::key::{Algorithm, Key, KeySettings};
use ecomm::mail::{Mailer, RelaySettings, Tls};
use ecomm::plugin::samples;
use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::json;

use super::{LANGUAGES, Read, config, read, sample, writer};
use crate::harness::{self, tests};

tests! {
    once {
        style_is_what_mail_programs_take
    }
}

/// A spam filter's score that a mail may have: it takes 5.
const SCORE_MAX: f64 = 1.0;

/// The test that needs a spam filter.
pub fn with_spamassassin() -> Vec<Trial> {
    let name = "mails::programs::a_spam_filter_lets_every_mail_pass";
    let is_there = Command::new("spamassassin").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) {
        return vec![harness::lacking(name.to_owned(), "spamassassin is not installed".to_owned())];
    }
    vec![harness::trial(name, || harness::run(2, a_spam_filter_lets_every_mail_pass()))]
}

#[derive(Deserialize)]
struct Taken {
    property: BTreeMap<String, Support>,
    rule: BTreeMap<String, Support>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Support {
    gmail: String,
    outlook: String,
    apple_mail: String,
    without: Option<String>,
}

async fn style_is_what_mail_programs_take() {
    let taken: Taken = toml::from_str(include_str!("css.toml")).unwrap();
    for (name, support) in taken.property.iter().chain(&taken.rule) {
        let all = [&support.gmail, &support.outlook, &support.apple_mail];
        assert!(all.iter().all(|one| ["yes", "partly", "no"].contains(&one.as_str())), "{name}");
        let is_whole = all.iter().all(|one| *one == "yes");
        assert_eq!(is_whole, support.without.is_none(), "{name}: what is seen without it");
    }
    let (mut properties, mut rules) = (BTreeSet::new(), BTreeSet::new());
    let config =
        json!({ "logo_url": "https://shop.example/logo.png", "dark_logo_url": "https://shop.example/dark.png" });
    let writer = writer(&config).await.unwrap();
    for (name, _) in samples() {
        for language in ["en", "ar"] {
            let Read { tags, style_sheets, .. } = read(&writer.mail(&sample(name, language)).await.html.unwrap());
            let inline = tags.iter().filter_map(|(_, has)| has.get("style"));
            inline.for_each(|style| properties.extend(declared(style)));
            for sheet in style_sheets {
                rules.extend(conditional(&sheet));
                properties.extend(
                    sheet.split(['{', '}']).filter(|part| !part.trim_start().starts_with('@')).flat_map(declared),
                );
            }
        }
    }
    assert_eq!(properties, taken.property.into_keys().collect(), "properties that are used, and those of css.toml");
    assert_eq!(rules, taken.rule.into_keys().collect(), "rules that are used, and those of css.toml");
}

/// The properties of declarations; of what is none, such as selectors, nothing.
fn declared(style: &str) -> impl Iterator<Item = String> {
    style.split(';').filter_map(|declaration| Some(declaration.split_once(':')?.0.trim().to_owned()))
}

/// Rules that hold in some programs only: at-rules by their feature, attribute selectors by their attribute.
fn conditional(sheet: &str) -> Vec<String> {
    let media = sheet.split('@').skip(1).map(|rule| {
        let (name, rest) = rule.split_once('(').unwrap();
        format!("@{name}({})", rest.split(':').next().unwrap())
    });
    // The one is set on what is written, the other on what is behind it.
    let marked = sheet.contains("[data-ogs").then(|| "[data-ogsc]".to_owned());
    media.chain(marked).collect()
}

async fn a_spam_filter_lets_every_mail_pass() {
    let writer = writer(&json!({ "legal": ["Fixture & Sons Ltd, 1 Strand, London"] })).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys = [(Algorithm::Ed25519, "e2026"), (Algorithm::Rsa, "s2026")].map(|(algorithm, selector)| {
        let path = folder.path().join(selector);
        std::fs::write(&path, Key::generate(algorithm).unwrap()).unwrap();
        KeySettings::new("shop.example", selector, &path)
    });
    let mut settings = config().mail;
    settings.dkim = keys.to_vec();
    settings.relays = vec![RelaySettings { tls: Tls::None, ..RelaySettings::new("default", "127.0.0.1", 1) }];
    let mailer = Mailer::new(settings, &Clock::system()).unwrap();
    let mut mbox = Vec::new();
    let mut names = Vec::new();
    for (name, _) in samples() {
        // Perl is slow: in the other languages the mails that come most often.
        let often = ["order-placed", "order-shipped", "account-reset-password"].contains(name);
        for language in &LANGUAGES[..if often { LANGUAGES.len() } else { 1 }] {
            let event = sample(name, language);
            let email = writer.mail(&event).await;
            let now = Clock::system().now_ms();
            let message = mailer.build(&event.notification, &email, 7, now).unwrap();
            mbox.extend(b"From shop@shop.example Thu Nov 26 10:00:00 2026\n");
            let text = message.text.replace("\r\n", "\n");
            mbox.extend(text.replace("\nFrom ", "\n>From ").into_bytes());
            mbox.extend(b"\n\n");
            names.push(format!("{name} in {language}"));
        }
    }
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let mut filter = Command::new("spamassassin")
        .args(["--local", "--mbox", "--test-mode"])
        .env("HOME", &home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = filter.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(&mbox));
    let said = String::from_utf8_lossy(&filter.wait_with_output().unwrap().stdout).into_owned();
    writing.join().unwrap().unwrap();
    let said = said.replace("\n\t", " ").replace('\r', "");
    let scores: Vec<&str> = said.lines().filter(|line| line.starts_with("X-Spam-Status:")).collect();
    assert_eq!(scores.len(), names.len(), "a score for each mail");
    for (name, status) in names.iter().zip(scores) {
        let score = status.split("score=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(score.parse::<f64>().unwrap() <= SCORE_MAX, "{name}: {status}");
    }
}
