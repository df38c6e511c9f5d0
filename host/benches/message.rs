//! What it costs to make the bytes of a mail of what was rendered, and to sign them.

use std::time::Instant;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::mail::dkim::key::{Algorithm, Key, KeySettings};
use ecomm::mail::{Mailer, RelaySettings, Tls};
use ecomm::plugin::Email;

use crate::rig;

const ROUNDS: usize = 20;
const MAILS: usize = 200;

pub(crate) fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = |algorithm, selector: &str| {
        let path = folder.path().join(selector);
        std::fs::write(&path, Key::generate(algorithm).expect("a key")).expect("written");
        KeySettings::new("shop.example", selector, &path)
    };
    let (ed25519, rsa) = (key(Algorithm::Ed25519, "e1"), key(Algorithm::Rsa, "s1"));
    let kinds = [
        ("unsigned", vec![]),
        ("Ed25519", vec![ed25519.clone()]),
        ("RSA 2048", vec![rsa.clone()]),
        ("both", vec![ed25519, rsa]),
    ];
    let kinds = kinds.map(|(name, keys)| (name, mailer(keys)));
    let (notification, email) = (rig::notification(), email());
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for ((_, mailer), times) in kinds.iter().zip(&mut times) {
            let begun = Instant::now();
            for seed in 0..MAILS as u64 {
                mailer.build(&notification, &email, seed, 1_800_000_000_000).expect("built");
            }
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            times.push(begun.elapsed().as_secs_f64() * 1e6 / MAILS as f64);
        }
    }
    let medians = times.map(rig::median);
    println!("\nbytes of a mail of {} kB, medians of {ROUNDS} rounds of {MAILS}", email.text.len() * 4 / 1_000);
    for ((name, _), time) in kinds.iter().zip(medians) {
        println!("  {name:<10} {time:>8.1} µs   {:>8.1} µs more than unsigned", time - medians[0]);
    }
}

fn mailer(dkim: Vec<KeySettings>) -> Mailer {
    let secret = (format!("{}AUTH__SECRET", ecomm::config::PREFIX), "-".repeat(32));
    let mut settings = Config::load(None, [secret]).expect("settings").mail;
    settings.dkim = dkim;
    settings.relays = vec![RelaySettings { tls: Tls::None, ..RelaySettings::new("default", "127.0.0.1", 1) }];
    Mailer::new(settings, &Clock::system()).expect("a mailer")
}

/// As large as the default renderer's: a quarter text.
fn email() -> Email {
    let text = "A line of a mail, as long as such lines are in general.\r\n".repeat(40);
    let html =
        format!("<html><body>{}</body></html>", "<p style=\"margin: 0\">A paragraph of a mail.</p>\r\n".repeat(140));
    Email { subject: "Order 42 is shipped".to_owned(), text, html: Some(html), ..Email::default() }
}
