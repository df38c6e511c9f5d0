//! Providers that report by webhook, signed as each of them signs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecomm::config::Config;
use ecomm::provider::{Provider, Settings};
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::EncodePublicKey as _;
use reqwest::header::HeaderMap;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::{App, environment, sqlite};
use crate::database::Database;
use crate::harness::tests;
use crate::reports::BASE;

tests! {
    on_each_database {
        what_each_provider_says_is_known_once
    }
    once {
        what_is_not_a_provider_s_is_refused
        settings_that_cannot_work_are_named
    }
}

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:bounces";
const PROVIDERS: [&str; 4] = ["ses", "sendgrid", "mailgun", "postmark"];

/// Signs as the providers do.
struct Signers {
    sendgrid: p256::ecdsa::SigningKey,
    ses: RsaKeyPair,
    /// Where its certificate is.
    certificates: String,
    subscribed: Arc<AtomicU32>,
}

impl Signers {
    async fn new() -> Self {
        let der = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).unwrap().to_pkcs8_der().unwrap();
        let pair =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der.as_bytes().to_vec().into(), &rcgen::PKCS_RSA_SHA256);
        let certificate = rcgen::CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&pair.unwrap()).unwrap().pem();
        let subscribed = Arc::new(AtomicU32::new(0));
        let certificates = serve(certificate, subscribed.clone()).await;
        let sendgrid = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        Self { sendgrid, ses: RsaKeyPair::from_pkcs8(der.as_bytes()).unwrap(), certificates, subscribed }
    }

    /// The settings of webhooks for all of them.
    fn settings(&self) -> Vec<Settings> {
        let public = self.sendgrid.verifying_key().to_public_key_der().unwrap();
        let keys =
            [TOPIC.to_owned(), STANDARD.encode(public.as_bytes()), "mailgun's".to_owned(), "ada:a secret".to_owned()];
        let providers = [Provider::Ses, Provider::Sendgrid, Provider::Mailgun, Provider::Postmark];
        let settings = PROVIDERS.iter().zip(providers).zip(keys).map(|((name, provider), key)| Settings {
            name: (*name).to_owned(),
            provider,
            key: key.into(),
            certificates_url: if provider == Provider::Ses { self.certificates.clone() } else { String::new() },
        });
        settings.collect()
    }

    /// A request with an event, signed.
    fn signed(&self, provider: &str, event: &Value, token: &str) -> (HeaderMap, String) {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: String| headers.insert(name, value.parse().unwrap());
        let body = match provider {
            "ses" => self.enveloped("Notification", &event.to_string(), token).to_string(),
            "sendgrid" => {
                let (body, time) = (event.to_string(), "1795939200");
                let signature: p256::ecdsa::DerSignature = self.sendgrid.sign(format!("{time}{body}").as_bytes());
                set("x-twilio-email-event-webhook-signature", STANDARD.encode(signature.as_bytes()));
                set("x-twilio-email-event-webhook-timestamp", time.to_owned());
                body
            }
            "mailgun" => {
                let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"mailgun's").unwrap();
                mac.update(format!("1795939200{token}").as_bytes());
                let signature = ecomm::hex::encode(&mac.finalize().into_bytes());
                let signature = json!({ "timestamp": "1795939200", "token": token, "signature": signature });
                json!({ "signature": signature, "event-data": event }).to_string()
            }
            _ => {
                set("authorization", format!("Basic {}", STANDARD.encode("ada:a secret")));
                event.to_string()
            }
        };
        (headers, body)
    }

    fn enveloped(&self, kind: &str, message: &str, id: &str) -> Value {
        let url = format!("{}subscribe", self.certificates);
        let mut envelope = json!({
            "Message": message, "MessageId": id, "SubscribeURL": url, "Timestamp": "2026-11-29T08:00:00.000Z",
            "Token": "t", "TopicArn": TOPIC, "Type": kind,
        });
        if kind == "Notification" {
            let fields = envelope.as_object_mut().unwrap();
            fields.remove("SubscribeURL");
            fields.remove("Token");
        }
        // serde_json's own order is that of the names.
        let fields = envelope.as_object().unwrap().iter();
        let signed = fields.map(|(name, value)| [name, "\n", value.as_str().unwrap(), "\n"].concat());
        let signed = signed.collect::<Vec<_>>().concat();
        let mut signature = vec![0; self.ses.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        self.ses.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        envelope["SignatureVersion"] = json!("2");
        envelope["Signature"] = json!(STANDARD.encode(signature));
        envelope["SigningCertURL"] = json!(format!("{}certificate.pem", self.certificates));
        envelope
    }
}

/// Answers with a certificate, or counts a subscription.
async fn serve(certificate: String, subscribed: Arc<AtomicU32>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 4_096];
            let length = socket.read(&mut request).await.unwrap_or_default();
            if request[..length].starts_with(b"GET /subscribe ") {
                subscribed.fetch_add(1, Ordering::Relaxed);
            }
            let body = &certificate;
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/")
}

async fn app(database: Database, signers: &Signers) -> App {
    let mut config = Config::load(None, environment(&database, &[("MAIL__RETURN_PATH", BASE)])).unwrap();
    config.inbound.webhooks = signers.settings();
    config.mail.headers.insert("X-PM-Metadata-return-path".to_owned(), "{return_path}".to_owned());
    App::of(database, config).await
}

async fn call(app: &App, provider: &str, (headers, body): (HeaderMap, String)) -> u16 {
    let url = format!("{}/v1/webhooks/{provider}", app.client.base);
    app.client.http.post(url).headers(headers).body(body).send().await.unwrap().status().as_u16()
}

/// The events of a provider, about a mail.
fn events(provider: &str, return_path: &str, message_id: &str) -> Vec<Value> {
    let path = format!("{}/tests/it/reports/{provider}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace("{return_path}", return_path).replace("{message_id}", message_id);
    serde_json::from_str(&text).unwrap()
}

async fn what_each_provider_says_is_known_once(database: Database) {
    let signers = Signers::new().await;
    let app = app(database, &signers).await;
    for provider in PROVIDERS {
        let order = app.order().await;
        app.drain().await;
        let mail = app.mailbox.messages().pop().unwrap();
        let text = crate::app::text(&mail);
        assert!(text.starts_with(&format!("X-PM-Metadata-return-path: {}\r\n", mail.from)), "{text}");
        let mut all = events(provider, &mail.from, &mail.message_id);
        // In whatever order they come, and however often.
        all.extend(all.clone().into_iter().rev());
        for (n, event) in all.iter().enumerate() {
            assert_eq!(
                call(&app, provider, signers.signed(provider, event, &format!("t{n}"))).await,
                204,
                "{provider}: {event}"
            );
        }
        let notification = app.notifications(order).await[0].clone();
        assert_eq!((&notification["state"], &notification["delivery"]), (&json!("sent"), &json!("complained")));
        let reports = notification["reports"].as_array().unwrap();
        let mut said: Vec<String> = reports
            .iter()
            .map(|r| {
                format!(
                    "{} {} {}",
                    r["kind"].as_str().unwrap(),
                    r["enhanced"].as_str().unwrap_or("-"),
                    r["words"].as_str().unwrap()
                )
            })
            .collect();
        said.sort();
        let late = if provider == "postmark" { "answered - on holiday" } else { "delayed 4.2.2 452 4.2.2 full" };
        let complained = if provider == "ses" { "complained - abuse" } else { "complained - " };
        let mut expected = ["bounced 5.1.1 550 5.1.1 no such user", complained, late, "delivered 2.6.0 250 2.6.0 kept"];
        expected.sort_unstable();
        assert_eq!(said, expected, "{provider}");
        let entries = app.client.ok("GET", "/v1/suppressions", &app.admin, None).await;
        let mut causes: Vec<&str> =
            entries["items"].as_array().unwrap().iter().map(|entry| entry["cause"].as_str().unwrap()).collect();
        causes.sort_unstable();
        assert_eq!(causes, ["bounced", "complained"], "{provider}");
        for entry in entries["items"].as_array().unwrap() {
            app.client.call("DELETE", &format!("/v1/suppressions/{}", entry["id"]), &app.admin, None).await;
        }
    }
    app.end().await;
}

async fn what_is_not_a_provider_s_is_refused() {
    let signers = Signers::new().await;
    let app = app(sqlite().await, &signers).await;
    let order = app.order().await;
    app.drain().await;
    let mail = app.mailbox.messages().pop().unwrap();
    for provider in PROVIDERS {
        let event = &events(provider, &mail.from, &mail.message_id)[0];
        let (headers, body) = signers.signed(provider, event, "t1");
        assert_eq!(
            call(&app, provider, (HeaderMap::new(), body.clone())).await,
            if headers.is_empty() { 204 } else { 403 }
        );
        let other = if provider == "postmark" { body.clone() } else { body.replacen('5', "6", 1) };
        let mut forged = headers.clone();
        if provider == "postmark" {
            forged.insert("authorization", "Basic YWRhOmd1ZXNz".parse().unwrap());
        }
        assert_eq!(call(&app, provider, (forged, other)).await, 403, "{provider}");
        let broken = call(&app, provider, (headers, "{".to_owned())).await;
        assert!(broken == 422 || broken == 403, "{provider}: {broken}");
    }
    assert_eq!(call(&app, "nobody", signers.signed("postmark", &json!({}), "t")).await, 404);
    let large = "x".repeat(2 << 20);
    assert_eq!(call(&app, "postmark", (HeaderMap::new(), large)).await, 413);
    // SNS: another topic, an old signature, a certificate of somebody's, one that cannot be had.
    let envelope = signers.enveloped("Notification", "{}", "m");
    for (field, value, status) in [
        ("TopicArn", "arn:aws:sns:eu-central-1:123456789012:others", 403),
        ("SignatureVersion", "1", 403),
        ("SigningCertURL", "https://sns.eu-central-1.amazonaws.com.evil.example/c.pem", 403),
        ("Signature", "AAAA", 403),
        ("Type", "Other", 422),
    ] {
        let mut changed = envelope.clone();
        changed[field] = json!(value);
        assert_eq!(call(&app, "ses", (HeaderMap::new(), changed.to_string())).await, status, "{field}");
    }
    assert_eq!(signers.subscribed.load(Ordering::Relaxed), 0);
    let asks = signers.enveloped("SubscriptionConfirmation", "You have chosen to subscribe", "m2");
    assert_eq!(call(&app, "ses", (HeaderMap::new(), asks.to_string())).await, 204);
    assert_eq!(signers.subscribed.load(Ordering::Relaxed), 1);
    // Mailgun signs no event: a token that came with another is not taken.
    let [first, second] = [0, 2].map(|n| events("mailgun", &mail.from, &mail.message_id)[n].clone());
    assert_eq!(call(&app, "mailgun", signers.signed("mailgun", &first, "t2")).await, 204);
    assert_eq!(call(&app, "mailgun", signers.signed("mailgun", &first, "t2")).await, 204);
    assert_eq!(call(&app, "mailgun", signers.signed("mailgun", &second, "t2")).await, 403);
    let kinds: Vec<Value> =
        app.notifications(order).await[0]["reports"].as_array().unwrap().iter().map(|r| r["kind"].clone()).collect();
    assert_eq!(kinds, ["bounced", "bounced"], "of SES and of Mailgun, whose requests are signed in their bodies");
    app.end().await;
}

async fn settings_that_cannot_work_are_named() {
    let refused = async |change: &dyn Fn(&mut Config)| -> String {
        let database = sqlite().await;
        let mut config = Config::load(None, environment(&database, &[("MAIL__RETURN_PATH", BASE)])).unwrap();
        change(&mut config);
        let started = Box::pin(ecomm::host::offline(config, ecomm::clock::Clock::system())).await;
        started.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let webhook = |name: &str, provider, key: &str| Settings {
        name: name.to_owned(),
        provider,
        key: key.into(),
        certificates_url: String::new(),
    };
    for (webhooks, expected) in [
        (vec![webhook("a b", Provider::Mailgun, "k")], "\"a b\" stands there twice, or is no name"),
        (vec![webhook("a", Provider::Mailgun, "k"), webhook("a", Provider::Mailgun, "k")], "\"a\" stands there twice"),
        (vec![webhook("a", Provider::Mailgun, "")], "must be the signing key of its webhooks"),
        (vec![webhook("a", Provider::Sendgrid, "AAAA")], "must be a public key of ECDSA"),
        (vec![webhook("a", Provider::Postmark, "password")], "must be \"user:password\""),
        (vec![webhook("a", Provider::Ses, "bounces")], "must be the topic's ARN"),
    ] {
        let why = refused(&|config| config.inbound.webhooks.clone_from(&webhooks)).await;
        assert!(why.contains(expected), "{expected}: {why}");
    }
    let none = |config: &mut Config| {
        config.mail.return_path = None;
        config.inbound.webhooks = vec![webhook("a", Provider::Mailgun, "k")];
    };
    assert!(refused(&none).await.contains("set mail.return_path as well"));
    for (name, value) in [("Subject", "x"), ("X-Bad\r\n", "x"), ("X-A", "a\nb"), ("X-A", "\u{e4}"), ("", "")] {
        let why = refused(&|config| drop(config.mail.headers.insert(name.to_owned(), value.to_owned()))).await;
        assert!(why.contains("must begin with X-"), "{name}: {why}");
    }
}
