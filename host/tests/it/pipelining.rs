//! More mails than connections: each connection carries the next mail's envelope behind the message before it (RFC 2920 3.1),
//! and whatever becomes of the one does not become of the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecomm::lease::{Lease, NotRecorded};
use ecomm::mail::Message;
use ecomm::mail::mailbox::{Act, Fault, Phase};
use ecomm::notification::Class;
use ecomm::outbound::{Outcome, Untried};
use ecomm::plugin::Email;
use futures_util::future::{join, join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::app::reply;
use crate::harness::tests;
use crate::relay::{Rig, notification, rig};

tests! {
    once {
        an_envelope_goes_out_behind_the_message_before
        a_relay_that_does_not_pipeline_gets_nothing_ahead
        what_one_is_answered_is_not_the_others
        what_breaks_with_one_is_tried_again_for_the_next
        nobody_waits_long_for_the_one_before
        what_is_not_recorded_is_not_followed_by_a_message
    }
}

const MAILS: usize = 12;
/// Of any test here.
const CONNECTIONS_MAX: usize = 2;

fn address(number: usize) -> String {
    format!("customer-{number}@shop.example")
}

impl Rig {
    fn to(&self, number: usize) -> Message {
        let mut n = notification();
        n.payload.customer.email = address(number).try_into().unwrap();
        let email = Email { subject: number.to_string(), text: format!("Hello {number}."), ..Email::default() };
        self.mailer.build(&n, &email, 7, n.payload.occurred_at).unwrap()
    }

    async fn offer_to(&self, number: usize, recorded: Result<(), NotRecorded>) -> Result<Outcome, Untried> {
        let lease = Lease::until(&self.clock, self.clock.monotonic_ms() + 60_000);
        let recording = async {
            // Before the first messages go out, the others stand in line.
            if number < CONNECTIONS_MAX {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            recorded
        };
        self.mailer.send("default", &self.to(number), &lease, recording).await
    }

    async fn send_to(&self, number: usize) -> Outcome {
        self.offer_to(number, Ok(())).await.unwrap()
    }

    /// Sends to each customer at one time, in this order.
    async fn send_to_all(&self) -> Vec<Outcome> {
        join_all((0..MAILS).map(|number| self.send_to(number))).await
    }

    fn meets(&self, number: usize, phase: Phase, act: Act) {
        self.mailbox.inject(Fault { phase, act, times: 1, to: Some(address(number)) });
    }

    /// Who got which mail, in the order of their numbers; each as often as it arrived.
    fn arrived(&self) -> Vec<usize> {
        let mut arrived = Vec::new();
        for mail in self.mailbox.messages() {
            let number = mail.subject.parse().unwrap();
            assert_eq!(mail.to, address(number), "another customer's");
            arrived.push(number);
        }
        arrived.retain(|number| *number < MAILS);
        arrived.sort_unstable();
        arrived
    }
}

fn all() -> Vec<usize> {
    (0..MAILS).collect()
}

/// A way to a relay on which all that it is told is kept.
async fn overheard(port: u16) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (own, heard) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let kept = heard.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from, mut to) = client.into_split();
        let (mut answers, mut asks) = TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
        let asking = async {
            let mut piece = vec![0; 64 << 10];
            while let Ok(length @ 1..) = from.read(&mut piece).await {
                kept.lock().unwrap().extend_from_slice(&piece[..length]);
                asks.write_all(&piece[..length]).await.unwrap();
            }
        };
        let _ = join(asking, tokio::io::copy(&mut answers, &mut to)).await;
    });
    (own, heard)
}

async fn one_connection() -> Rig {
    rig(|settings| settings.relays[0].connections_max = 1, None).await
}

/// How often an envelope was written at once with the message before it.
async fn ahead(pipelines: bool) -> usize {
    let behind = one_connection().await;
    behind.mailbox.set_pipelining(pipelines);
    let (port, heard) = overheard(behind.port).await;
    let rig = rig(
        |settings| {
            settings.relays[0].port = port;
            settings.relays[0].connections_max = 1;
        },
        None,
    )
    .await;
    for outcome in rig.send_to_all().await {
        assert_eq!(outcome.result, Ok(()));
    }
    assert_eq!(behind.arrived(), all());
    assert_eq!(behind.mailbox.connections(), 1);
    let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    let envelopes = heard.matches("\r\nMAIL FROM:").count();
    assert_eq!(envelopes, MAILS);
    heard.matches("\r\n.\r\nMAIL FROM:").count()
}

async fn an_envelope_goes_out_behind_the_message_before() {
    assert_eq!(ahead(true).await, MAILS - 1);
}

async fn a_relay_that_does_not_pipeline_gets_nothing_ahead() {
    let rig = one_connection().await;
    rig.mailbox.set_pipelining(false);
    rig.meets(0, Phase::Dot, Act::Hang);
    let (first, second) = join(rig.send_to(0), rig.send_to(1)).await;
    assert_eq!((first.result, second.result), (Err(Class::InDoubt), Ok(())));
    ahead(false).await;
}

async fn what_one_is_answered_is_not_the_others() {
    let table = [
        (Phase::Dot, "554 5.6.0 content", Class::Rejected, "body"),
        (Phase::Dot, "451 4.3.0 later", Class::Deferred, "body"),
        (Phase::Rcpt, "550 5.1.1 no such user", Class::Rejected, "rcpt"),
        (Phase::Rcpt, "451 4.7.1 Greylisted for 300 seconds", Class::Greylisted, "rcpt"),
        (Phase::Data, "554 5.5.1 no", Class::Rejected, "data"),
    ];
    for (phase, line, class, reached) in table {
        for number in [0, 5, MAILS - 1] {
            let rig = one_connection().await;
            rig.meets(number, phase, reply(line));
            for (other, outcome) in rig.send_to_all().await.into_iter().enumerate() {
                let expected = if other == number { (Err(class), reached) } else { (Ok(()), "body") };
                assert_eq!((outcome.result, outcome.phase), expected, "{other}, where {number} met {line}");
            }
            let others: Vec<usize> = all().into_iter().filter(|other| *other != number).collect();
            assert_eq!(rig.arrived(), others);
            assert_eq!(rig.mailbox.connections(), 1, "a refusal does not cost the connection");
        }
    }
}

async fn what_breaks_with_one_is_tried_again_for_the_next() {
    use Class::{InDoubt, NotHandedOver};
    let table = [
        (Phase::Dot, Act::Drop, InDoubt, true),
        (Phase::Dot, Act::Hang, InDoubt, true),
        (Phase::Dot, reply("gibberish"), InDoubt, false),
        (Phase::Rcpt, Act::Drop, NotHandedOver, false),
        (Phase::Data, Act::Hang, NotHandedOver, false),
        (Phase::Data, reply("250 2.0.0 odd"), NotHandedOver, false),
    ];
    for (phase, act, class, arrives) in table {
        let rig = one_connection().await;
        rig.meets(3, phase, act.clone());
        for (number, outcome) in rig.send_to_all().await.into_iter().enumerate() {
            let expected = if number == 3 { Err(class) } else { Ok(()) };
            assert_eq!(outcome.result, expected, "{number}, where 3 met {phase:?} {act:?}");
        }
        let expected: Vec<usize> = all().into_iter().filter(|number| *number != 3 || arrives).collect();
        assert_eq!(rig.arrived(), expected, "{phase:?} {act:?}");
    }
}

async fn nobody_waits_long_for_the_one_before() {
    let rig = rig(|settings| settings.deadlines.body_ms_max = 60_000, None).await;
    // Both connections are open, and the domain is known.
    join(rig.send_to(MAILS), rig.send_to(MAILS + 1)).await;
    rig.meets(0, Phase::Dot, Act::Hang);
    let mut slow = std::pin::pin!(rig.send_to(0));
    let begun_ms = rig.clock.monotonic_ms();
    let others = tokio::select! {
        biased;
        _ = &mut slow => panic!("it hangs"),
        others = join_all((1..MAILS).map(|number| rig.send_to(number))) => others,
    };
    assert!(others.iter().all(|outcome| outcome.result == Ok(())), "{others:?}");
    let waited_ms = rig.clock.monotonic_ms() - begun_ms;
    assert!(waited_ms >= 2_000, "none was behind the first: {waited_ms} ms");
    assert_eq!(rig.arrived(), all(), "the first was kept, and is not answered for");
}

async fn what_is_not_recorded_is_not_followed_by_a_message() {
    let rig = one_connection().await;
    let sending = (0..MAILS).map(|number| {
        let recorded = if number == 4 { Err(NotRecorded("gone".to_owned())) } else { Ok(()) };
        rig.offer_to(number, recorded)
    });
    for (number, sent) in join_all(sending).await.into_iter().enumerate() {
        match sent {
            Ok(outcome) => assert_eq!((number == 4, outcome.result), (false, Ok(()))),
            Err(untried) => assert_eq!((number, untried.why.as_str()), (4, "the intent was not recorded: gone")),
        }
    }
    let others: Vec<usize> = all().into_iter().filter(|number| *number != 4).collect();
    assert_eq!(rig.arrived(), others);
}
