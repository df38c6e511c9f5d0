//! The SMTP session against a relay that fails at each phase.

use std::time::Duration;

use ecomm::clock::Clock;
use ecomm::lease::{Lease, NotRecorded};
use ecomm::mail::mailbox::{Act, Fault, Mailbox, Phase};
use ecomm::mail::{Mailer, Message, RelaySettings, Settings, Tls};
use ecomm::notification::{Class, Notification, Payload};
use ecomm::outbound::{Deadlines, Outcome, Untried};
use ecomm::plugin::Email;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::reply;
use crate::harness::tests;

tests! {
    once {
        each_phase_has_its_outcome
        a_refused_envelope_is_not_followed_by_a_message
        what_is_sent_is_what_arrives
        nothing_goes_out_unrecorded
        nothing_goes_out_after_the_lease
        a_cancelled_send_does_not_shift_the_next_replies
        connections_are_few_and_used_again
        a_connection_that_the_relay_closed_is_replaced
        a_relay_that_died_meanwhile_is_offered_nothing
        connections_that_fail_side_by_side_are_one_failure
    }
    on_one_thread {
        attachments_cannot_end_the_message
        a_mail_is_the_same_bytes_again
    }
}

pub struct Rig {
    pub mailer: Mailer,
    pub mailbox: Mailbox,
    pub clock: Clock,
    pub port: u16,
    _stop: tokio_util::sync::DropGuard,
}

pub fn settings(port: u16, deadline_ms: u64) -> Settings {
    let deadlines = Deadlines {
        connect_ms_max: 2_000,
        command_ms_max: deadline_ms,
        data_ms_max: deadline_ms,
        body_ms_max: deadline_ms,
    };
    let relay =
        RelaySettings { tls: Tls::None, connections_max: 2, ..RelaySettings::new("default", "127.0.0.1", port) };
    Settings {
        from: "orders@shop.example".to_owned().try_into().unwrap(),
        from_name: "Shop".to_owned().try_into().unwrap(),
        reply_to: None,
        return_path: None,
        headers: std::collections::BTreeMap::new(),
        hello_name: "localhost".to_owned().try_into().unwrap(),
        dkim: Vec::new(),
        deadlines,
        relays: vec![relay],
        domains: Vec::new(),
    }
}

pub async fn rig(change: impl FnOnce(&mut Settings), tls: Option<tokio_rustls::TlsAcceptor>) -> Rig {
    let clock = Clock::system();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut settings = settings(port, 300);
    change(&mut settings);
    let mailbox = Mailbox::new(std::path::PathBuf::new(), 100, tls, clock.clone());
    let stop = CancellationToken::new();
    let serving = mailbox.clone();
    let stopped = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with the rig")]
    tokio::spawn(async move { serving.serve(listener, stopped).await });
    Rig { mailer: Mailer::new(settings, &clock).unwrap(), mailbox, clock, port, _stop: stop.drop_guard() }
}

pub fn notification() -> Notification {
    let payload = include_str!("payload.json");
    let payload = Payload::read(payload).unwrap();
    Notification { id: 1, message_id: "1@shop.example".to_owned(), payload }
}

pub fn message(mailer: &Mailer, text: &str) -> Message {
    let email = Email { subject: "Hello".to_owned(), text: text.to_owned(), ..Email::default() };
    mailer.build(&notification(), &email, 7, notification().payload.occurred_at).unwrap()
}

impl Rig {
    pub async fn send(&self) -> Outcome {
        self.offer().await.unwrap()
    }

    async fn offer(&self) -> Result<Outcome, Untried> {
        let message = message(&self.mailer, "Hello.\r\n.\r\n..two dots\r\n");
        let lease = Lease::until(&self.clock, self.clock.monotonic_ms() + 60_000);
        self.mailer.send("default", &message, &lease, async { Ok(()) }).await
    }

    async fn fails(&self, phase: Phase, act: Act) -> (Option<Class>, &'static str, Option<u16>) {
        self.mailbox.inject(Fault { phase, act, times: 1, to: None });
        let outcome = self.send().await;
        (outcome.result.err(), outcome.phase, outcome.code)
    }
}

async fn each_phase_has_its_outcome() {
    use Class::{Deferred, Greylisted, InDoubt, NotHandedOver, Rejected, Throttled};
    let rig = rig(|_| {}, None).await;
    let table = [
        (Phase::Greeting, reply("554 5.3.2 no"), NotHandedOver, "greeting", Some(554)),
        (Phase::Greeting, reply("421 4.3.2 too many connections"), Throttled, "greeting", Some(421)),
        (Phase::Rcpt, reply("451 4.7.1 Greylisted for 300 seconds"), Greylisted, "rcpt", Some(451)),
        (Phase::Dot, reply("454 4.7.0 Throttling failure"), Throttled, "body", Some(454)),
        (Phase::Greeting, Act::Drop, NotHandedOver, "greeting", None),
        (Phase::Greeting, Act::Hang, NotHandedOver, "greeting", None),
        (Phase::Ehlo, reply("502 5.5.1 no"), NotHandedOver, "ehlo", Some(502)),
        (Phase::Ehlo, reply("250-x\r\n250- \r\n250 x"), NotHandedOver, "ehlo", None),
        (Phase::Ehlo, Act::Drop, NotHandedOver, "ehlo", None),
        (Phase::Ehlo, Act::Hang, NotHandedOver, "ehlo", None),
        (Phase::Mail, reply("451 4.3.0 later"), Deferred, "mail", Some(451)),
        (Phase::Mail, reply("550 5.7.1 no"), Rejected, "mail", Some(550)),
        (Phase::Mail, reply("421 4.3.2 bye"), Throttled, "mail", Some(421)),
        (Phase::Mail, reply("gibberish"), NotHandedOver, "mail", None),
        (Phase::Mail, reply("354 neither yes nor no"), NotHandedOver, "mail", None),
        (Phase::Mail, Act::Hang, NotHandedOver, "mail", None),
        (Phase::Rcpt, reply("450 4.2.1 later"), Deferred, "rcpt", Some(450)),
        (Phase::Rcpt, reply("550 5.1.1 no"), Rejected, "rcpt", Some(550)),
        (Phase::Rcpt, reply("354 neither yes nor no"), NotHandedOver, "rcpt", None),
        (Phase::Rcpt, Act::Drop, NotHandedOver, "rcpt", None),
        (Phase::Rcpt, Act::Hang, NotHandedOver, "rcpt", None),
        (Phase::Data, reply("451 4.3.0 later"), Deferred, "data", Some(451)),
        (Phase::Data, reply("554 5.5.1 no"), Rejected, "data", Some(554)),
        (Phase::Data, reply("250 2.0.0 odd"), NotHandedOver, "data", None),
        (Phase::Data, Act::Drop, NotHandedOver, "data", None),
        (Phase::Data, Act::Hang, NotHandedOver, "data", None),
        (Phase::Dot, reply("451 4.3.0 later"), Deferred, "body", Some(451)),
        (Phase::Dot, reply("554 5.6.0 content"), Rejected, "body", Some(554)),
        (Phase::Dot, reply("gibberish"), InDoubt, "body", None),
        (Phase::Dot, reply("354 neither yes nor no"), InDoubt, "body", None),
        (Phase::Dot, Act::Drop, InDoubt, "body", None),
        (Phase::Dot, Act::Hang, InDoubt, "body", None),
    ];
    for pipelining in [true, false] {
        rig.mailbox.set_pipelining(pipelining);
        for (phase, act, class, reached, code) in table.clone() {
            // Faults before the mail are only met on a new connection.
            rig.mailer.close().await;
            rig.clock.advance(60_000);
            let found = rig.fails(phase, act.clone()).await;
            assert_eq!(found, (Some(class), reached, code), "{phase:?} {act:?}, pipelining {pipelining}");
        }
        assert_eq!(rig.send().await.result, Ok(()));
    }
}

/// RFC 2920: a relay that refuses the envelope may still go on to take a message; none follows, not even an empty one.
async fn a_refused_envelope_is_not_followed_by_a_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let clock = Clock::system();
    let mailer = Mailer::new(settings(port, 2_000), &clock).unwrap();
    let relay = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(socket);
        stream.write_all(b"220 x\r\n").await.unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap() == 0 {
                return lines;
            }
            let verb = line[..4].to_owned();
            let answer: &[u8] = match verb.as_str() {
                "EHLO" => b"250-x\r\n250 pipelining\r\n",
                "RCPT" => b"550 5.1.1 no such user\r\n",
                "DATA" => b"354 go\r\n",
                _ => b"250 ok\r\n",
            };
            stream.write_all(answer).await.unwrap();
            lines.push(verb);
        }
    };
    let message = message(&mailer, "Hello.");
    let lease = Lease::until(&clock, clock.monotonic_ms() + 60_000);
    let sending = async {
        let outcome = mailer.send("default", &message, &lease, async { Ok(()) }).await;
        mailer.close().await;
        outcome.unwrap()
    };
    let (lines, outcome) = tokio::join!(relay, sending);
    assert_eq!((outcome.result, outcome.phase, outcome.code), (Err(Class::Rejected), "rcpt", Some(550)));
    assert_eq!(lines, ["EHLO", "EHLO", "MAIL", "RCPT", "DATA"]);
}

async fn what_is_sent_is_what_arrives() {
    let rig = rig(|_| {}, None).await;
    let outcome = rig.send().await;
    assert_eq!((outcome.result, outcome.code), (Ok(()), Some(250)));
    let message = message(&rig.mailer, "Hello.\r\n.\r\n..two dots\r\n");
    let received = rig.mailbox.messages()[0].bytes.to_vec();
    assert_eq!(String::from_utf8(received).unwrap(), message.text);
}

async fn nothing_goes_out_unrecorded() {
    let rig = rig(|_| {}, None).await;
    let message = message(&rig.mailer, "Hello.");
    let lease = Lease::until(&rig.clock, rig.clock.monotonic_ms() + 60_000);
    let untried = rig.mailer.send("default", &message, &lease, async { Err(NotRecorded("gone".to_owned())) }).await;
    assert_eq!(untried.unwrap_err().why, "the intent was not recorded: gone");
    assert!(rig.mailbox.messages().is_empty());
}

async fn nothing_goes_out_after_the_lease() {
    let rig = rig(|s| s.deadlines.command_ms_max = 60_000, None).await;
    let message = message(&rig.mailer, "Hello.");
    let lease = Lease::until(&rig.clock, rig.clock.monotonic_ms() + 60_000);
    rig.mailbox.inject(Fault { phase: Phase::Rcpt, act: Act::Hang, times: 1, to: None });
    let losing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        lease.lose();
    };
    let sending = rig.mailer.send("default", &message, &lease, async { Ok(()) });
    let (outcome, ()) = tokio::join!(sending, losing);
    let outcome = outcome.unwrap();
    assert_eq!((outcome.result, outcome.phase), (Err(Class::NotHandedOver), "rcpt"));
    let untried = rig.mailer.send("default", &message, &lease, async { Ok(()) }).await;
    assert!(untried.unwrap_err().why.contains("lease"));
    assert!(rig.mailbox.messages().is_empty());
}

/// lettre 0.11.23's transport puts a connection whose send was cancelled back into its pool. The late 250 of the
/// first mail is then taken for the answer to the second, and a mail that was refused is reported as sent.
async fn a_cancelled_send_does_not_shift_the_next_replies() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let clock = Clock::system();
    let mailer = Mailer::new(settings(port, 200), &clock).unwrap();
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = connections.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        let mut bodies = 0;
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut stream = BufReader::new(socket);
            let _ = stream.write_all(b"220 x\r\n").await;
            let (mut line, mut in_body) = (String::new(), false);
            while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                let answer = match (in_body, line.trim_end()) {
                    (true, ".") => {
                        in_body = false;
                        bodies += 1;
                        if bodies == 1 {
                            // Late: after the client has given up on this mail.
                            tokio::time::sleep(Duration::from_millis(400)).await;
                            "250 2.0.0 late\r\n"
                        } else {
                            "550 5.7.1 content rejected\r\n"
                        }
                    }
                    (true, _) => "",
                    (false, "DATA") => {
                        in_body = true;
                        "354 go\r\n"
                    }
                    (false, _) => "250 ok\r\n",
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                line.clear();
            }
        }
    });
    let message = message(&mailer, "Hello.");
    let lease = Lease::until(&clock, clock.monotonic_ms() + 60_000);
    let first = mailer.send("default", &message, &lease, async { Ok(()) }).await.unwrap();
    assert_eq!(first.result, Err(Class::InDoubt));
    // The same with the whole send dropped, as a task that is aborted does.
    let sending = mailer.send("default", &message, &lease, std::future::pending());
    assert!(tokio::time::timeout(Duration::from_millis(100), sending).await.is_err());
    let second = mailer.send("default", &message, &lease, async { Ok(()) }).await.unwrap();
    assert_eq!(
        (second.result, second.code, second.enhanced.as_deref()),
        (Err(Class::Rejected), Some(550), Some("5.7.1"))
    );
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 3, "a cancelled connection is never used again");
}

async fn connections_are_few_and_used_again() {
    let rig = rig(|_| {}, None).await;
    let sends = (0..50).map(|_| rig.send());
    for outcome in futures_util::future::join_all(sends).await {
        assert_eq!(outcome.result, Ok(()));
    }
    assert_eq!(rig.mailbox.messages().len(), 50);
    // A refusal does not cost the connection.
    let found = rig.fails(Phase::Rcpt, reply("550 5.1.1 no")).await;
    assert_eq!(found.0, Some(Class::Rejected));
    assert_eq!(rig.send().await.result, Ok(()));
    assert!(rig.mailbox.connections() <= 2, "{} connections", rig.mailbox.connections());
}

async fn a_connection_that_the_relay_closed_is_replaced() {
    let rig = rig(|_| {}, None).await;
    assert_eq!(rig.send().await.result, Ok(()));
    // Without a word, or with a good-bye.
    for act in [Act::Drop, reply("421 4.4.2 idle for too long")] {
        rig.mailbox.inject(Fault { phase: Phase::Mail, act, times: 1, to: None });
        assert_eq!(rig.send().await.result, Ok(()));
    }
}

async fn a_relay_that_died_meanwhile_is_offered_nothing() {
    let rig = rig(|s| s.relays[0].connections_max = 1, None).await;
    rig.mailbox.inject(Fault { phase: Phase::Greeting, act: Act::Drop, times: 2, to: None });
    let (first, second) = tokio::join!(rig.offer(), rig.offer());
    assert_eq!(first.unwrap().result, Err(Class::NotHandedOver));
    let untried = second.unwrap_err();
    assert!(untried.why.contains("circuit breaker") && untried.delay_ms > 0, "{untried:?}");
}

async fn connections_that_fail_side_by_side_are_one_failure() {
    let rig = rig(|s| s.relays[0].connections_max = 2, None).await;
    rig.mailbox.inject(Fault { phase: Phase::Greeting, act: Act::Hang, times: 2, to: None });
    for outcome in futures_util::future::join_all((0..2).map(|_| rig.send())).await {
        assert_eq!(outcome.result, Err(Class::NotHandedOver));
    }
    let away_ms = rig.mailer.retry_in_ms("default");
    assert!((1..=1_000).contains(&away_ms), "{away_ms}: the first pause, not the fourth");
}

async fn attachments_cannot_end_the_message() {
    let mailer = Mailer::new(settings(25, 300), &Clock::system()).unwrap();
    let attachment = ecomm::plugin::Attachment {
        name: "a.txt".to_owned(),
        content_type: "text/plain".to_owned(),
        content_id: None,
        data: b"a\n.\nMAIL FROM:<evil@example.com>\r\n.\r\n".to_vec(),
    };
    let email = Email { attachments: vec![attachment], subject: "Hello".to_owned(), ..Email::default() };
    let text = mailer.build(&notification(), &email, 7, notification().payload.occurred_at).unwrap().text;
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
    assert!(!text.contains("evil@example.com") && text.contains("base64"), "{text}");
}

async fn a_mail_is_the_same_bytes_again() {
    let mailer = Mailer::new(settings(25, 300), &Clock::system()).unwrap();
    let (first, second) = (message(&mailer, "Hello."), message(&mailer, "Hello."));
    assert_eq!(first.text, second.text);
    assert_eq!(first.hash, second.hash);
    insta::assert_snapshot!(first.text.replace("\r\n", "\n"), @r#"
    From: Shop <orders@shop.example>
    To: "Ada Lovelace" <ada@example.com>
    Subject: Hello
    Message-ID: <1@shop.example>
    Date: Fri, 09 Jan 2026 23:12:40 +0000
    Auto-Submitted: auto-generated
    MIME-Version: 1.0
    Content-Type: multipart/alternative;
     boundary="7e2e8b49f93a4f1fcd3d8c53db08bcd2fb714f1d"

    --7e2e8b49f93a4f1fcd3d8c53db08bcd2fb714f1d
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: 7bit

    Hello.
    --7e2e8b49f93a4f1fcd3d8c53db08bcd2fb714f1d--
    "#);
}
