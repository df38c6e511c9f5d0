//! A real mail server between the host and the world: it takes the mails, has their signatures verified by opendkim, and says
//! what became of them.

use ecomm::config::Config;
use ecomm::mail::mailbox::{Fault, Mailbox, Phase};
use ecomm::mail::{RelaySettings, Tls};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{App, environment, eventually, reply, sqlite, text, user};
use crate::{harness, reports};

/// Where it takes mails.
const POSTFIX: &str = "ECOMM_TEST_POSTFIX";
/// Where it offers those to example.com.
const WORLD: &str = "ECOMM_TEST_POSTFIX_WORLD";
/// Where it hands over what comes back.
const RETURNS: &str = "ECOMM_TEST_POSTFIX_RETURNS";
/// The folder of the keys whose signatures it takes for the shop's.
const KEYS: &str = "ECOMM_TEST_POSTFIX_KEYS";

/// Mails at one time, for one connection.
const MANY: usize = 20;

pub fn tests() -> Vec<Trial> {
    let name = "postfix::what_it_says_of_mails_is_known";
    let found = [POSTFIX, WORLD, RETURNS, KEYS].map(std::env::var);
    let [Ok(postfix), Ok(world), Ok(returns), Ok(keys)] = found else {
        return vec![harness::lacking(name.to_owned(), format!("{POSTFIX} is not set"))];
    };
    vec![harness::trial(name, move || harness::run(2, what_it_says_of_mails_is_known(postfix, world, returns, keys)))]
}

async fn what_it_says_of_mails_is_known(postfix: String, world: String, returns: String, keys: String) {
    let database = sqlite().await;
    let key = |selector: &str| {
        format!(r#"{{ domain = "shop.example", selector = "{selector}", key_path = "{keys}/{selector}.pem" }}"#)
    };
    let keys = format!("[{}, {}]", key("rsa"), key("ed25519"));
    let more =
        [("MAIL__RETURN_PATH", reports::BASE), ("INBOUND__LISTEN", returns.as_str()), ("MAIL__DKIM", keys.as_str())];
    let mut config = Config::load(None, environment(&database, &more)).unwrap();
    let (host, port) = postfix.rsplit_once(':').unwrap();
    let relay = RelaySettings::new("postfix", host, port.parse().unwrap());
    config.mail.relays.push(RelaySettings { tls: Tls::None, connections_max: 1, ..relay });
    let app = App::of(database, config).await;
    let mailbox = Mailbox::new(std::path::PathBuf::new(), 100, None, app.clock.clone());
    let (listener, stop) = (TcpListener::bind(world).await.unwrap(), CancellationToken::new());
    let (serving, stopped) = (mailbox.clone(), stop.clone());
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { serving.serve(listener, stopped).await });
    let fault = |to: &str, line: &str, times| {
        mailbox.inject(Fault { phase: Phase::Rcpt, act: reply(line), times, to: Some(to.to_owned()) });
    };
    // One is not there; one cannot be reached for a while.
    fault("gone@example.com", "550 5.1.1 no such mailbox", 1);
    fault("ada@example.com", "451 4.2.0 the mailbox is being moved", 3);
    app.host.service.sign_up(user("gone@example.com", "Gone")).await.unwrap();
    let late = app.order().await;
    let token = app.client.log_in("gone@example.com").await;
    let new = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
    let lost = app.client.ok("POST", "/v1/orders", &token, Some(new)).await["id"].as_i64().unwrap();
    app.drain().await;
    let of = async |order: i64| app.notifications(order).await[0].clone();
    eventually("both reports", async || {
        of(lost).await["delivery"] == "bounced" && of(late).await["delivery"] == "delayed"
    })
    .await;
    for order in [late, lost] {
        assert_eq!(of(order).await["state"], "sent");
    }
    let said = |notification: &Value| {
        let report = &notification["reports"][0];
        ["enhanced", "reporter", "words"].map(|key| report[key].as_str().unwrap().to_owned())
    };
    let [enhanced, reporter, words] = said(&of(lost).await);
    assert_eq!((enhanced.as_str(), reporter.as_str()), ("5.1.1", "127.0.0.1"));
    assert!(words.contains("550 5.1.1 no such mailbox"), "{words}");
    let [enhanced, _, words] = said(&of(late).await);
    assert_eq!(enhanced, "4.2.0");
    assert!(words.contains("the mailbox is being moved"), "{words}");
    let found = app.client.ok("GET", "/v1/suppressions", &app.admin, None).await;
    let addresses: Vec<&Value> = found["items"].as_array().unwrap().iter().map(|entry| &entry["address"]).collect();
    assert_eq!(addresses, ["gone@example.com"]);
    // What was late arrives.
    eventually("the mail", async || mailbox.messages().iter().any(|mail| mail.to == "ada@example.com")).await;
    // Both signatures hold for a verifier that is not the signer.
    let arrived = mailbox.messages().into_iter().find(|mail| mail.to == "ada@example.com").unwrap();
    let arrived = text(&arrived).replace("\r\n", "\n").replace("\n\t", " ");
    let results: Vec<&str> = arrived
        .lines()
        .filter(|line| line.starts_with("Authentication-Results: relay.example"))
        .flat_map(|line| line.split(';'))
        .collect();
    let verified = |selector: &str| {
        let of_key = |result: &&&str| result.contains(&format!("header.s={selector} "));
        results.iter().find(of_key).is_some_and(|result| result.trim().starts_with("dkim=pass"))
    };
    assert!(verified("rsa") && verified("ed25519"), "{arrived}");
    many_arrive(&app, &mailbox).await;
    stop.cancel();
    app.end().await;
}

/// More mails than connections: each envelope goes out behind the message before.
async fn many_arrive(app: &App, mailbox: &Mailbox) {
    let before = mailbox.messages().len();
    for _ in 0..MANY {
        app.order().await;
    }
    app.drain().await;
    eventually("each of them", async || mailbox.messages().len() == before + MANY).await;
}
