//! Relays that are providers' HTTP APIs: what they are given, what their answers mean, and what is in doubt.

pub mod requests;
pub mod server;

use std::collections::BTreeMap;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::lease::{Lease, NotRecorded};
use ecomm::mail::{Mailer, Message, RelaySettings, Settings, Tls, Transport};
use ecomm::notification::{Class, Notification, Payload};
use ecomm::outbound::{Outcome, Untried};
use ecomm::plugin::{Attachment, Email};
use serde_json::{Value, json};

use crate::app::{App, environment, journal};
use crate::database::Database;
use crate::harness::tests;
use crate::relay;
use crate::tls;
use server::{Act, Server, TAKEN, answer, with_header};

tests! {
    on_each_database {
        mails_go_out_by_an_api_and_doubt_is_on_record
    }
    once {
        each_answer_has_its_outcome
        an_answer_that_is_cut_anywhere_leaves_doubt
        a_request_that_is_cut_is_in_doubt_once_it_was_written
        answers_come_in_every_form_that_http_has
        an_early_answer_ends_its_connection
        silence_leaves_doubt
        a_connection_is_used_again_and_replaced_when_it_was_closed
        nothing_is_written_unrecorded_or_after_the_lease
        who_refuses_the_account_or_fails_is_left_alone
        settings_that_do_not_go_together_are_named
        certificates_are_verified
    }
}

const APIS: [Transport; 3] = [Transport::Ses, Transport::Mailgun, Transport::Postmark];

fn relay_of(transport: Transport, port: u16) -> RelaySettings {
    let region = if transport == Transport::Ses { "eu-west-1".to_owned() } else { String::new() };
    let (username, password) = ("AKIDEXAMPLE".to_owned(), "a-key".into());
    RelaySettings {
        transport,
        region,
        username,
        password,
        tls: Tls::None,
        ..RelaySettings::new("default", "127.0.0.1", port)
    }
}

struct Rig {
    mailer: Mailer,
    server: Server,
    clock: Clock,
}

impl Rig {
    async fn of(transport: Transport) -> Self {
        Self::with(transport, |_| {}).await
    }

    async fn with(transport: Transport, change: impl FnOnce(&mut Settings)) -> Self {
        let (server, clock) = (Server::start().await, Clock::system());
        let mut settings = relay::settings(server.port, 2_000);
        settings.relays = vec![relay_of(transport, server.port)];
        change(&mut settings);
        Self { mailer: Mailer::new(settings, &clock).unwrap(), server, clock }
    }

    fn message(&self, email: &Email) -> Message {
        let payload = Payload::read(include_str!("payload.json")).unwrap();
        let at = payload.occurred_at;
        let notification = Notification { id: 1, message_id: "1@shop.example".to_owned(), payload };
        self.mailer.build(&notification, email, 7, at).unwrap()
    }

    async fn offer(&self, message: &Message) -> Result<Outcome, Untried> {
        let lease = Lease::until(&self.clock, self.clock.monotonic_ms() + 60_000);
        self.mailer.send("default", message, &lease, async { Ok(()) }).await
    }

    async fn send(&self) -> Outcome {
        self.offer(&self.message(&mail())).await.unwrap()
    }
}

fn mail() -> Email {
    let file = |name: &str, content_id: Option<&str>, data: &[u8]| Attachment {
        name: name.to_owned(),
        content_type: "application/pdf".to_owned(),
        content_id: content_id.map(ToOwned::to_owned),
        data: data.to_vec(),
    };
    Email {
        subject: "Grüße aus dem Teeladen, und noch einiges mehr, so dass die Zeile gefaltet wird 🙂".to_owned(),
        text: "Hallo.\r\n.\r\nDer Tee ist da.".to_owned(),
        html: Some("<p>Der Tee ist <b>da</b>.</p>".to_owned()),
        headers: vec![("X-Campaign".to_owned(), "autumn".to_owned())],
        attachments: vec![file("Rechnung.pdf", None, b"%PDF\0\r\n.\r\n"), file("logo.pdf", Some("logo@shop"), b"%PDF")],
        ..Email::default()
    }
}

/// A request's first line, its headers, its body.
fn parts(request: &[u8]) -> (String, BTreeMap<String, String>, String) {
    let request = String::from_utf8(request.to_vec()).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap().to_owned();
    let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    (first, headers, body.to_owned())
}

async fn each_answer_has_its_outcome() {
    use Class::{Deferred, InDoubt, NotHandedOver, Rejected, Throttled};
    let amazon = |status, kind: &str| with_header(status, &format!("x-amzn-errortype: {kind}:http://internal/"), "{}");
    let postmark = |code: u32| answer(422, &json!({ "ErrorCode": code, "Message": "said" }).to_string());
    for (transport, said, expected) in [
        (Transport::Ses, amazon(400, "MessageRejected"), (Rejected, "body", 400)),
        (Transport::Ses, amazon(429, "TooManyRequestsException"), (Throttled, "body", 429)),
        (Transport::Ses, amazon(400, "LimitExceededException"), (Throttled, "body", 400)),
        (Transport::Ses, amazon(400, "SendingPausedException"), (NotHandedOver, "auth", 400)),
        (Transport::Ses, amazon(403, "InvalidSignatureException"), (NotHandedOver, "auth", 403)),
        (Transport::Mailgun, answer(400, "to parameter is not a valid address"), (Rejected, "body", 400)),
        (Transport::Mailgun, answer(401, "Forbidden"), (NotHandedOver, "auth", 401)),
        (Transport::Ses, amazon(400, "RequestExpired"), (NotHandedOver, "auth", 400)),
        (
            Transport::Ses,
            answer(400, r#"{"__type": "com.amazon#AccessDeniedException"}"#),
            (NotHandedOver, "auth", 400),
        ),
        (
            Transport::Ses,
            with_header(400, "x-amzn-errortype: MessageRejected", r#"{"message": "Email address is not verified."}"#),
            (NotHandedOver, "auth", 400),
        ),
        (Transport::Mailgun, answer(420, "try again after a while"), (Throttled, "body", 420)),
        (Transport::Mailgun, answer(408, "oh"), (Deferred, "body", 408)),
        (Transport::Mailgun, answer(500, "oh"), (InDoubt, "body", 500)),
        // Somebody else's page, or an answer without the mail's number.
        (Transport::Mailgun, answer(200, "<html>It works!</html>"), (InDoubt, "body", 200)),
        (Transport::Ses, answer(200, "{}"), (InDoubt, "body", 200)),
        (Transport::Postmark, answer(200, r#"{"ErrorCode": 1, "MessageID": "x"}"#), (InDoubt, "body", 200)),
        (
            Transport::Postmark,
            answer(422, r#"{"ErrorCode": 300, "Message": "Invalid 'From' address: 'x'."}"#),
            (NotHandedOver, "auth", 422),
        ),
        (Transport::Mailgun, answer(502, "oh"), (InDoubt, "body", 502)),
        (Transport::Postmark, postmark(406), (Rejected, "body", 422)),
        (Transport::Postmark, postmark(405), (NotHandedOver, "auth", 422)),
        (Transport::Postmark, postmark(100), (Throttled, "body", 422)),
        (Transport::Postmark, answer(503, "<html>"), (Throttled, "body", 503)),
    ] {
        let rig = Rig::of(transport).await;
        rig.server.then(Act::Answer(said.clone()));
        let outcome = rig.send().await;
        assert_eq!((outcome.result.unwrap_err(), outcome.phase, outcome.code.unwrap()), expected, "{said}");
    }
    let rig = Rig::of(Transport::Mailgun).await;
    rig.server.then(Act::Answer(answer(429, "slow\n down")));
    assert_eq!(rig.send().await.reply, "slow down");
}

async fn answers_come_in_every_form_that_http_has() {
    let rig = Rig::of(Transport::Postmark).await;
    let (first, rest) = TAKEN.split_at(10);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x};x=y\r\n{rest}\r\n0\r\n\r\n",
        first.len(),
        rest.len()
    );
    let informed = format!("HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n{}", answer(200, TAKEN));
    for said in [chunked, informed, with_header(200, "connection: close", TAKEN)] {
        rig.server.then(Act::Answer(said.clone()));
        assert_eq!(rig.send().await.result, Ok(()), "{said}");
    }
    // To its end, or to the connection's.
    rig.server.then(Act::AnswerAndClose(format!("HTTP/1.0 200 OK\r\n\r\n{TAKEN}")));
    assert_eq!(rig.send().await.result, Ok(()));
    for (said, bytes) in [("SSH-2.0-OpenSSH_9.2\r\n", 21), ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", 38)] {
        rig.server.then(Act::CutAnswer(said.to_owned(), bytes));
        assert_eq!(rig.send().await.result, Err(Class::InDoubt), "{said}");
    }
}

/// A refusal that came before the request was written as a whole: what is left of it is not what the next mail begins with.
async fn an_early_answer_ends_its_connection() {
    let rig = Rig::of(Transport::Mailgun).await;
    let large = Email { text: "long lines of text\r\n".repeat(2_000_000), ..mail() };
    rig.server.then(Act::AnswerEarly(answer(413, "too large"), 1_000));
    let outcome = rig.offer(&rig.message(&large)).await.unwrap();
    assert_eq!((outcome.result, outcome.code), (Err(Class::Rejected), Some(413)));
    rig.send().await.result.unwrap();
    assert_eq!((rig.server.connections(), rig.server.requests().len()), (2, 1));
}

async fn an_answer_that_is_cut_anywhere_leaves_doubt() {
    for transport in APIS {
        let rig = Rig::of(transport).await;
        let said = answer(200, TAKEN);
        for bytes in 0..=said.len() {
            rig.server.then(Act::CutAnswer(said.clone(), bytes));
            let outcome = rig.send().await;
            let expected = if bytes == said.len() { Ok(()) } else { Err(Class::InDoubt) };
            assert_eq!((outcome.result, outcome.phase), (expected, "body"), "{transport:?}: {bytes} of {}", said.len());
        }
        assert_eq!(rig.server.requests().len(), said.len() + 1, "none was sent twice");
    }
}

async fn a_request_that_is_cut_is_in_doubt_once_it_was_written() {
    for transport in APIS {
        let rig = Rig::of(transport).await;
        rig.send().await.result.unwrap();
        let length = rig.server.requests()[0].len();
        for bytes in (1..length).step_by(if transport == Transport::Ses { 1 } else { 7 }) {
            rig.server.then(Act::CutRequest(bytes));
            let outcome = rig.send().await;
            // The sockets between hold all of it.
            assert_eq!(outcome.result, Err(Class::InDoubt), "{transport:?}: {bytes} of {length}: {outcome:?}");
        }
        assert_eq!(rig.server.requests().len(), 1, "the server took none of them");
        // More than the sockets hold: that it did not go out as a whole is known.
        let large = Email { text: "long lines of text\r\n".repeat(200_000), ..mail() };
        rig.server.then(Act::CutRequest(1_000));
        let outcome = rig.offer(&rig.message(&large)).await.unwrap();
        assert_eq!((outcome.result, outcome.phase), (Err(Class::NotHandedOver), "body"), "{transport:?}");
        rig.send().await.result.unwrap();
    }
}

async fn silence_leaves_doubt() {
    let rig = Rig::with(Transport::Ses, |settings| settings.deadlines.body_ms_max = 200).await;
    rig.server.then(Act::Silence);
    let outcome = rig.send().await;
    assert_eq!((outcome.result, outcome.reply.as_str()), (Err(Class::InDoubt), "no answer within 200 ms"));
    rig.server.then(Act::Silence);
    let lease = Lease::until(&rig.clock, rig.clock.monotonic_ms() + 100);
    let message = rig.message(&mail());
    let outcome = rig.mailer.send("default", &message, &lease, async { Ok(()) }).await.unwrap();
    assert_eq!((outcome.result, outcome.reply.as_str()), (Err(Class::InDoubt), "the lease on the event ended"));
    // An answer without an end is none.
    let rig = Rig::of(Transport::Ses).await;
    rig.server.then(Act::Answer(answer(200, &"x".repeat(70_000))));
    assert_eq!(rig.send().await.result, Err(Class::InDoubt));
}

async fn a_connection_is_used_again_and_replaced_when_it_was_closed() {
    let rig = Rig::of(Transport::Postmark).await;
    for _ in 0..3 {
        rig.send().await.result.unwrap();
    }
    assert_eq!(rig.server.connections(), 1);
    rig.server.then(Act::AnswerAndClose(answer(200, TAKEN)));
    rig.send().await.result.unwrap();
    // It is known as soon as the next mail comes, and costs it nothing.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    rig.send().await.result.unwrap();
    assert_eq!((rig.server.connections(), rig.server.requests().len()), (2, 5));
}

async fn nothing_is_written_unrecorded_or_after_the_lease() {
    let rig = Rig::of(Transport::Mailgun).await;
    let message = rig.message(&mail());
    let lease = Lease::until(&rig.clock, rig.clock.monotonic_ms() + 60_000);
    let unrecorded = async { Err(NotRecorded("the disk is full".to_owned())) };
    let untried = rig.mailer.send("default", &message, &lease, unrecorded).await.unwrap_err();
    assert!(untried.why.contains("the disk is full"), "{untried:?}");
    let over = Lease::until(&rig.clock, rig.clock.monotonic_ms());
    assert!(rig.mailer.send("default", &message, &over, async { Ok(()) }).await.is_err());
    rig.send().await.result.unwrap();
    assert_eq!(rig.server.requests().len(), 1);
}

async fn who_refuses_the_account_or_fails_is_left_alone() {
    let rig = Rig::of(Transport::Postmark).await;
    rig.server.then(Act::Answer(answer(401, r#"{"ErrorCode": 10, "Message": "No Account or Server API tokens"}"#)));
    assert_eq!(rig.send().await.result, Err(Class::NotHandedOver));
    let untried = rig.offer(&rig.message(&mail())).await.unwrap_err();
    assert!(untried.why.contains("circuit breaker"), "{untried:?}");
    rig.clock.advance(untried.delay_ms.try_into().unwrap());
    rig.send().await.result.unwrap();
    assert_eq!(rig.server.requests().len(), 2);
    // Others are not brought into doubt while it fails.
    rig.server.then(Act::Answer(answer(500, "oh")));
    assert_eq!(rig.send().await.result, Err(Class::InDoubt));
    assert!(rig.offer(&rig.message(&mail())).await.is_err());
}

async fn settings_that_do_not_go_together_are_named() {
    let clock = Clock::system();
    let named = |change: fn(&mut RelaySettings), transport| {
        let mut settings = relay::settings(1, 100);
        settings.relays = vec![relay_of(transport, 1)];
        change(&mut settings.relays[0]);
        Mailer::new(settings, &clock).err().map(|e| e.to_string())
    };
    for transport in APIS {
        let why = named(|relay| relay.tls = Tls::Starttls, transport).unwrap();
        assert!(why.contains("tls = \"implicit\""), "{why}");
        let why = named(|relay| relay.password = String::new().into(), transport).unwrap();
        assert!(why.contains("password"), "{why}");
        assert_eq!(named(|_| {}, transport), None);
    }
    let why = named(|relay| relay.region = String::new(), Transport::Ses).unwrap();
    assert!(why.contains("region"), "{why}");
    let at_amazon = |relay: &mut RelaySettings| {
        relay.region = String::new();
        "email.eu-central-1.amazonaws.com".clone_into(&mut relay.host);
        relay.tls = Tls::Implicit;
    };
    assert_eq!(named(at_amazon, Transport::Ses), None);
    let why = named(|relay| "a/b".clone_into(&mut relay.domain), Transport::Mailgun).unwrap();
    assert!(why.contains("domain"), "{why}");
    let why = named(|relay| relay.password = "two\nlines".into(), Transport::Postmark).unwrap();
    assert!(why.contains("one word"), "{why}");
    let why = named(|relay| "ASIAEXAMPLE".clone_into(&mut relay.username), Transport::Ses).unwrap();
    assert!(why.contains("temporary"), "{why}");
    for transport in [Transport::Smtp, Transport::Postmark, Transport::Mailgun] {
        let why = named(|relay| "eu-west-1".clone_into(&mut relay.region), transport).unwrap();
        assert!(why.contains("region is for transport = \"ses\""), "{why}");
    }
}

async fn mails_go_out_by_an_api_and_doubt_is_on_record(database: Database) {
    let server = Server::start().await;
    let mut config = Config::load(None, environment(&database, &[])).unwrap();
    let relay = RelaySettings { name: "postmark".to_owned(), ..relay_of(Transport::Postmark, server.port) };
    config.mail.relays.push(relay);
    let app = App::of(database, config).await;
    let said = answer(200, r#"{"ErrorCode": 0, "MessageID": "b7bc2f4a", "Message": "OK"}"#);
    server.then(Act::CutAnswer(said.clone(), 20));
    server.then(Act::Answer(said));
    let order = app.order().await;
    app.drain().await;
    let first = app.notifications(order).await[0].clone();
    let path = format!("/v1/notifications/{}", first["id"]);
    let detail = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!(journal(&detail), ["send body in-doubt - retry"], "{detail}");
    app.clock.advance(3_600_000);
    app.drain().await;
    let detail = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!(
        (&detail["state"], journal(&detail)[1].as_str()),
        (&json!("sent"), "send body delivered 200 -"),
        "{detail}"
    );
    assert!(detail["reason"].as_str().unwrap().contains("b7bc2f4a"), "{detail}");
    // The copy can be told from another mail.
    let ids: Vec<Value> = server
        .requests()
        .iter()
        .map(|request| {
            let body: Value = serde_json::from_str(&parts(request).2).unwrap();
            let headers = body["Headers"].as_array().unwrap().clone();
            headers.into_iter().find(|header| header["Name"] == "Message-ID").unwrap()["Value"].clone()
        })
        .collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    app.end().await;
}

async fn certificates_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    for transport in APIS {
        let server = Server::start().await;
        let (pem, port) = tls::before(([127, 0, 0, 1], server.port).into(), &[]).await;
        let authority = folder.path().join("ca.pem");
        std::fs::write(&authority, pem).unwrap();
        for (host, ca_path, is_taken) in [
            ("localhost", authority.clone(), true),
            ("127.0.0.1", authority.clone(), false),
            ("localhost", "".into(), false),
        ] {
            let tls = Tls::Implicit;
            let relay = RelaySettings { host: host.to_owned(), ca_path, tls, ..relay_of(transport, port) };
            let rig = Rig::with(transport, |settings| settings.relays = vec![relay]).await;
            let outcome = rig.send().await;
            let expected = if is_taken { (Ok(()), "body") } else { (Err(Class::NotHandedOver), "connect") };
            assert_eq!((outcome.result, outcome.phase), expected, "{transport:?} {host}: {}", outcome.reply);
        }
        assert_eq!(server.requests().len(), 1);
    }
}
