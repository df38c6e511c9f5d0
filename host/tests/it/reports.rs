//! What other servers say of mails after a relay took them: taken by SMTP and LMTP, known to the notification, acted upon.

use std::net::SocketAddr;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use ecomm::return_path::ReturnPaths;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::app::{App, PASSWORD, environment, sqlite};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_bounce_is_known_and_its_address_gets_no_more
        what_weighs_more_counts_whichever_came_first
        a_complaint_that_names_no_address_is_found_by_what_it_quotes
        who_is_not_named_gets_mails_still
        said_at_one_moment_it_is_known_once
        who_has_left_is_not_named_again
        they_are_found_by_what_is_known
    }
    once {
        without_a_return_path_mails_come_back_to_their_sender
        nobody_s_mail_is_taken_and_no_more_than_asked_for
        one_by_one_over_lmtp
        what_cannot_be_written_down_is_left_with_its_sender
        settings_that_cannot_work_are_named
    }
}

pub const BASE: &str = "bounces@mail.shop.example";

async fn app(database: Database) -> App {
    App::with(database, &[("MAIL__RETURN_PATH", BASE), ("INBOUND__LISTEN", "127.0.0.1:0")]).await
}

/// One of the samples.
pub fn sample(name: &str, to: &str, return_path: &str, message_id: &str) -> String {
    let path = format!("{}/tests/it/reports/{name}.eml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap().replace('\n', "\r\n");
    text.replace("{to}", to).replace("{return_path}", return_path).replace("{message_id}", message_id)
}

/// A mail server's side of a session.
pub struct Peer(BufReader<TcpStream>);

impl Peer {
    /// Once the host has seen that those before have left.
    pub async fn connect(address: SocketAddr) -> Self {
        loop {
            let mut peer = Self(BufReader::new(TcpStream::connect(address).await.unwrap()));
            if peer.hear().await.starts_with("220 ") {
                return peer;
            }
        }
    }

    /// The next reply, all its lines; empty when the host hung up.
    pub async fn hear(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let before = reply.len();
            self.0.read_line(&mut reply).await.unwrap();
            if reply.as_bytes().get(before + 3) != Some(&b'-') {
                return reply;
            }
        }
    }

    pub async fn say(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.hear().await
    }

    /// Says what is not answered.
    pub async fn tell(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// A mail, and the answer to it.
    pub async fn send(&mut self, from: &str, to: &str, mail: &str) -> String {
        assert!(self.say(&format!("MAIL FROM:<{from}>")).await.starts_with("250"));
        let reply = self.say(&format!("RCPT TO:<{to}>")).await;
        if !reply.starts_with("250") {
            self.say("RSET").await;
            return reply;
        }
        assert!(self.say("DATA").await.starts_with("354"));
        self.say(&format!("{}\r\n.", mail.replace("\r\n.", "\r\n.."))).await
    }
}

/// Sends a mail to the host as another server would.
pub async fn report(app: &App, from: &str, to: &str, mail: &str) -> String {
    let mut peer = Peer::connect(app.host.reports.unwrap()).await;
    assert!(peer.say("EHLO relay.example").await.contains("250-PIPELINING"));
    peer.send(from, to, mail).await
}

/// An order's mail that a relay took: its notification, and where it comes back to.
pub async fn sent(app: &App) -> (Value, String) {
    let order = app.order().await;
    app.drain().await;
    let mail = app.mailbox.messages().pop().unwrap();
    (app.notifications(order).await[0].clone(), mail.from)
}

pub async fn again(app: &App, notification: &Value) -> Value {
    app.client.ok("GET", &format!("/v1/notifications/{}", notification["id"]), &app.admin, None).await
}

pub fn of(notification: &Value, name: &str, to: &str) -> String {
    sample(name, to, to, notification["message_id"].as_str().unwrap())
}

async fn entries(app: &App) -> Vec<Value> {
    let found = app.client.ok("GET", "/v1/suppressions", &app.admin, None).await;
    found["items"].as_array().unwrap().clone()
}

async fn a_bounce_is_known_and_its_address_gets_no_more(database: Database) {
    let app = app(database).await;
    let (notification, back) = sent(&app).await;
    assert_eq!((&notification["state"], &notification["delivery"]), (&json!("sent"), &Value::Null));
    assert!(back.starts_with("bounces+") && back.ends_with("@mail.shop.example"), "{back}");
    let bounce = of(&notification, "bounced", &back);
    // Who hears no answer says it again.
    for _ in 0..2 {
        assert_eq!(report(&app, "", &back, &bounce).await, "250 2.0.0 noted\r\n");
    }
    let after = again(&app, &notification).await;
    assert_eq!((&after["state"], &after["delivery"]), (&json!("sent"), &json!("bounced")), "{after}");
    let reports = after["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 1, "{after}");
    let said = ["kind", "enhanced", "words", "reporter"].map(|key| reports[0][key].as_str().unwrap());
    assert_eq!(said, ["bounced", "5.1.1", "550 5.1.1 <ada@example.com>: no such mailbox here", "mx.example.com"]);
    let entries = entries(&app).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = ["address", "category", "cause", "source"].map(|key| entries[0][key].as_str().unwrap());
    assert_eq!(entry, ["ada@example.com", "all", "bounced", "report mx.example.com"]);
    assert_eq!(entries[0]["note"], format!("notification {}: 5.1.1", notification["id"]));
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["state"], "skipped");
    // The customer sees that it came back, not in which words.
    let path = format!("/v1/orders/{}/notifications", notification["order_id"]);
    let theirs = app.client.ok("GET", &path, &app.customer, None).await;
    assert_eq!((&theirs[0]["delivery"], &theirs[0]["reports"]), (&json!("bounced"), &json!([])), "{theirs}");
    app.end().await;
}

async fn what_weighs_more_counts_whichever_came_first(database: Database) {
    let app = app(database).await;
    let (notification, back) = sent(&app).await;
    for (name, delivery) in [
        ("answered", Value::Null),
        ("other", Value::Null),
        ("delayed", json!("delayed")),
        ("delivered", json!("delivered")),
        ("complained", json!("complained")),
        ("undecided", json!("complained")),
    ] {
        assert!(report(&app, "", &back, &of(&notification, name, &back)).await.starts_with("250"), "{name}");
        assert_eq!(again(&app, &notification).await["delivery"], delivery, "{name}");
    }
    let kinds: Vec<Value> =
        again(&app, &notification).await["reports"].as_array().unwrap().iter().map(|r| r["kind"].clone()).collect();
    assert_eq!(kinds, ["answered", "other", "delayed", "delivered", "complained", "bounced"]);
    let causes: Vec<Value> = entries(&app).await.iter().map(|entry| entry["cause"].clone()).collect();
    assert_eq!(causes, ["complained"], "a bounce that leaves open whether there is a mailbox suppresses nobody");
    app.end().await;
}

async fn a_complaint_that_names_no_address_is_found_by_what_it_quotes(database: Database) {
    let app = app(database).await;
    let (first, back) = sent(&app).await;
    let (second, _) = sent(&app).await;
    let id = |n: &Value| n["message_id"].as_str().unwrap().to_owned();
    // By the address that it would have come back to; by its Message-ID; and not at all.
    let by_address = sample("complained", BASE, &back, "unknown@elsewhere.example");
    // Some say only that it was somebody.
    let by_address = by_address.replace("Original-Rcpt-To: <ada@", "Original-Rcpt-To: <redacted@");
    let by_id = sample("complained", BASE, "orders@shop.example", &id(&second));
    let unknown = sample("complained", BASE, "orders@shop.example", "unknown@elsewhere.example");
    for mail in [&by_address, &by_id, &unknown] {
        assert_eq!(report(&app, "feedback@mailbox.example", BASE, mail).await, "250 2.0.0 noted\r\n");
    }
    for notification in [&first, &second] {
        let after = again(&app, notification).await;
        assert_eq!((&after["delivery"], after["reports"].as_array().unwrap().len()), (&json!("complained"), 1));
    }
    let found = entries(&app).await;
    assert_eq!((found.len(), &found[0]["category"]), (1, &json!("all")), "{found:?}");
    assert_eq!(found[0]["note"], format!("notification {}", first["id"]), "who has a Message-ID has not the mail");
    // One that is none.
    let odd = sample("complained", BASE, "orders@shop.example", "a\0b@x.example");
    assert!(report(&app, "feedback@mailbox.example", BASE, &odd).await.starts_with("250"));
    assert_eq!(app.database.number("select count(*) from notification_reports").await, 2);
    app.end().await;
}

/// A member of a list whose mailbox is gone, and an address that its owner has left, say nothing of the customer's.
async fn who_is_not_named_gets_mails_still(database: Database) {
    let app = app(database).await;
    let (first, back) = sent(&app).await;
    let of_member =
        of(&first, "bounced", &back).replace("rfc822; ada@", "rfc822; bob@").replace("rfc822;ada@", "rfc822;bob@");
    assert!(report(&app, "", &back, &of_member).await.starts_with("250"));
    assert_eq!((again(&app, &first).await["delivery"].clone(), entries(&app).await.len()), (json!("bounced"), 0));
    // What is said of the address of before is kept of it by its hash alone.
    let moved = json!({ "email": "countess@example.com", "current_password": PASSWORD });
    app.client.ok("PATCH", &format!("/v1/users/{}", app.customer_id().await), &app.admin, Some(moved)).await;
    let again_said = of(&first, "bounced", &back).replace("080001.1@", "080001.9@");
    assert!(report(&app, "", &back, &again_said).await.starts_with("250"));
    let found = entries(&app).await;
    assert_eq!((found.len(), &found[0]["address"], &found[0]["note"]), (1, &Value::Null, &json!("")), "{found:?}");
    let (second, _) = sent(&app).await;
    assert_eq!(second["state"], "sent");
    app.end().await;
}

/// The same report by many at one moment.
async fn said_at_one_moment_it_is_known_once(database: Database) {
    let app = app(database).await;
    let (notification, back) = sent(&app).await;
    let bounce = of(&notification, "bounced", &back);
    let all = (0..8).map(|_| report(&app, "", &back, &bounce));
    let replies = futures_util::future::join_all(all).await;
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    assert_eq!(again(&app, &notification).await["reports"].as_array().unwrap().len(), 1);
    app.end().await;
}

async fn who_has_left_is_not_named_again(database: Database) {
    let app = app(database).await;
    let (notification, back) = sent(&app).await;
    assert!(report(&app, "", &back, &of(&notification, "delayed", &back)).await.starts_with("250"));
    let customer = app.customer_id().await;
    let (status, _) = app.client.call("DELETE", &format!("/v1/users/{customer}"), &app.admin, None).await;
    assert_eq!(status, 204);
    assert!(report(&app, "", &back, &of(&notification, "bounced", &back)).await.starts_with("250"));
    let after = again(&app, &notification).await;
    assert_eq!(after["delivery"], "bounced");
    for report in after["reports"].as_array().unwrap() {
        assert_eq!((&report["words"], &report["reporter"]), (&json!(""), &json!("")), "{after}");
    }
    assert_eq!(entries(&app).await, Vec::<Value>::new());
    app.end().await;
}

async fn they_are_found_by_what_is_known(database: Database) {
    let app = app(database).await;
    let mut all = Vec::new();
    for name in ["delayed", "delivered", "undecided"] {
        let (notification, back) = sent(&app).await;
        assert!(report(&app, "", &back, &of(&notification, "delayed", &back)).await.starts_with("250"));
        assert!(report(&app, "", &back, &of(&notification, name, &back)).await.starts_with("250"));
        all.push(notification["id"].clone());
    }
    sent(&app).await;
    for (delivery, expected) in [("delayed", &all[..1]), ("delivered", &all[1..2]), ("bounced", &all[2..])] {
        let found = app.client.ok("GET", &format!("/v1/notifications?delivery={delivery}"), &app.admin, None).await;
        let ids: Vec<Value> = found["items"].as_array().unwrap().iter().map(|n| n["id"].clone()).collect();
        assert_eq!(ids, expected, "{delivery}");
    }
    let (status, problem) = app.client.call("GET", "/v1/notifications?delivery=lost", &app.admin, None).await;
    assert_eq!(status, 400, "{problem}");
    app.end().await;
}

async fn without_a_return_path_mails_come_back_to_their_sender() {
    let app = App::start(sqlite().await).await;
    assert_eq!(sent(&app).await.1, "orders@shop.example");
    assert_eq!(app.host.reports, None);
    app.end().await;
}

async fn nobody_s_mail_is_taken_and_no_more_than_asked_for() {
    let limits = [("INBOUND__MESSAGE_BYTES_MAX", "20000"), ("INBOUND__CONNECTIONS_MAX", "2")];
    let more = [&[("MAIL__RETURN_PATH", BASE), ("INBOUND__LISTEN", "127.0.0.1:0")][..], &limits].concat();
    let app = App::with(sqlite().await, &more).await;
    let (notification, back) = sent(&app).await;
    let address = app.host.reports.unwrap();
    let mut peer = Peer::connect(address).await;
    // Too early, unknown, not offered, unreadable.
    for (line, code) in [
        ("MAIL FROM:<>", "503"),
        ("RCPT TO:<bounces@mail.shop.example>", "503"),
        ("DATA", "503"),
        ("AUTH PLAIN AAAA", "502"),
        ("BDAT 3 LAST", "502"),
        ("STARTTLS", "502"),
        ("FLY", "500"),
        ("EHLO", "501"),
        ("VRFY ada", "252"),
        ("NOOP", "250"),
        ("EHLO relay.example", "250"),
        ("MAIL FROM:<> SIZE=20001", "552"),
        ("MAIL FROM:<> FLY=1", "555"),
        ("MAIL FROM:<>", "250"),
        ("MAIL FROM:<>", "503"),
        ("DATA", "503"),
    ] {
        let reply = peer.say(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
    // Another shop's, changed, somebody's.
    let theirs = ReturnPaths::new(Some(&BASE.to_owned().try_into().unwrap()), [&"theirs".into()].into_iter()).unwrap();
    let forged = back.replacen('+', "+a", 1);
    for other in [theirs.of(1).unwrap(), forged, "ada@example.com".to_owned(), "bounces+@mail.shop.example".to_owned()]
    {
        assert!(peer.say(&format!("RCPT TO:<{other}>")).await.starts_with("550 5.1.1"), "{other}");
    }
    drop(peer);
    // A mail that is too large, whether it says so or not; then one that is not.
    let mut peer = Peer::connect(address).await;
    peer.say("EHLO relay.example").await;
    let bounce = of(&notification, "bounced", &back);
    let large = format!("{bounce}\r\n{}", "x".repeat(70).repeat(300));
    assert!(peer.send("", &back, &large).await.starts_with("552 5.3.4"));
    assert_eq!(again(&app, &notification).await["delivery"], Value::Null);
    // One without a line ends, and cannot be read.
    for line in ["MAIL FROM:<>", &format!("RCPT TO:<{back}>"), "DATA", "."] {
        assert!(peer.say(line).await.starts_with(['2', '3']), "{line}");
    }
    assert!(peer.send("", &back, &bounce).await.starts_with("250"));
    assert_eq!(again(&app, &notification).await["delivery"], "bounced");
    // Somebody's answer is left aside.
    assert!(peer.send("ada@example.com", &back, &of(&notification, "person", &back)).await.starts_with("250"));
    // One connection too many, a line too long, too many refusals.
    let second = Peer::connect(address).await;
    let mut third = Peer(BufReader::new(TcpStream::connect(address).await.unwrap()));
    assert!(third.hear().await.starts_with("421 4.3.2"));
    assert!(peer.say(&"x".repeat(3_000)).await.starts_with("500 5.5.6"));
    assert_eq!(peer.hear().await, "");
    drop(second);
    let mut peer = Peer::connect(address).await;
    let mut refused = 0;
    while !peer.say("FLY").await.starts_with("421 4.7.0") {
        refused += 1;
    }
    assert_eq!(refused, 20);
    let reports = again(&app, &notification).await["reports"].as_array().unwrap().len();
    assert_eq!(reports, 2, "the bounce, and the mail without a line");
    app.end().await;
}

async fn one_by_one_over_lmtp() {
    let app = app(sqlite().await).await;
    let (first, back) = sent(&app).await;
    let (second, also) = sent(&app).await;
    let mut peer = Peer::connect(app.host.reports.unwrap()).await;
    assert!(peer.say("LHLO relay.example").await.contains("250-8BITMIME"));
    // The envelope in one piece (RFC 2920).
    let envelope = format!("MAIL FROM:<>\r\nRCPT TO:<{back}>\r\nRCPT TO:<{also}>\r\nRCPT TO:<ada@example.com>\r\nDATA");
    let mut replies = vec![peer.say(&envelope).await];
    for _ in 0..4 {
        replies.push(peer.hear().await);
    }
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["250", "250", "250", "550", "354"]);
    let reply = peer.say(&format!("{}\r\n.", of(&first, "bounced", &back))).await;
    assert_eq!([reply, peer.hear().await], ["250 2.0.0 noted\r\n"; 2]);
    for notification in [&first, &second] {
        assert_eq!(again(&app, notification).await["delivery"], "bounced");
    }
    assert!(peer.say("QUIT").await.starts_with("221"));
    app.end().await;
}

async fn what_cannot_be_written_down_is_left_with_its_sender() {
    let app = app(sqlite().await).await;
    let (notification, back) = sent(&app).await;
    app.database.execute("alter table notification_reports rename to away").await;
    let bounce = of(&notification, "bounced", &back);
    assert!(report(&app, "", &back, &bounce).await.starts_with("451 4.3.0"));
    app.database.execute("alter table away rename to notification_reports").await;
    assert!(report(&app, "", &back, &bounce).await.starts_with("250"));
    assert_eq!(again(&app, &notification).await["delivery"], "bounced");
    // No more than is worth knowing; but what is first to say what became of the mail is.
    for n in 0..25 {
        let more = bounce.replace("080001.1@", &format!("{n}@"));
        assert!(report(&app, "", &back, &more).await.starts_with("250"));
    }
    assert_eq!(again(&app, &notification).await["reports"].as_array().unwrap().len(), 20);
    assert!(report(&app, "", &back, &of(&notification, "complained", &back)).await.starts_with("250"));
    let after = again(&app, &notification).await;
    assert_eq!((after["reports"].as_array().unwrap().len(), &after["delivery"]), (21, &json!("complained")));
    app.end().await;
}

async fn settings_that_cannot_work_are_named() {
    let long = format!("{}@shop.example", "a".repeat(38));
    for (settings, expected) in [
        (vec![("INBOUND__LISTEN", "127.0.0.1:0")], "set mail.return_path as well"),
        (vec![("INBOUND__LISTEN", "here"), ("MAIL__RETURN_PATH", BASE)], "\"here\" is no address"),
        (vec![("MAIL__RETURN_PATH", long.as_str())], "at most 37 ASCII characters"),
        (
            vec![
                ("INBOUND__LISTEN", "127.0.0.1:0"),
                ("MAIL__RETURN_PATH", BASE),
                ("INBOUND__TLS_CERTIFICATE_PATH", "/nowhere/cert.pem"),
                ("INBOUND__TLS_KEY_PATH", "/nowhere/key.pem"),
            ],
            "/nowhere/cert.pem",
        ),
    ] {
        let database = sqlite().await;
        let config = Config::load(None, environment(&database, &settings)).unwrap();
        let started = Box::pin(Host::start(config, Roles::ALL, Clock::system())).await;
        let refused = started.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
}
