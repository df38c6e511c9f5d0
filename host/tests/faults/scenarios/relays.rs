//! A relay that fails, takes its time, wants less, or is gone.

use std::time::Duration;

use ecomm::mail::mailbox::{Act, Fault, Limits, Phase};

use crate::database::Server;
use crate::judge::Verdict;
use crate::proxy::{Proxy, Way};
use crate::rig::{Plan, Rig, relay, sink};

/// A relay that says nothing is left after seconds, and not minutes: the rig is not as patient as a shop.
pub const DEADLINES: &[(&str, &str)] = &[
    ("MAIL__DEADLINES__CONNECT_MS_MAX", "1000"),
    ("MAIL__DEADLINES__COMMAND_MS_MAX", "1000"),
    ("MAIL__DEADLINES__DATA_MS_MAX", "1000"),
    ("MAIL__DEADLINES__BODY_MS_MAX", "2000"),
];

/// In each phase: a refusal for now, a long answer, one that is none, an end, silence.
pub async fn fails(rig: &mut Rig, times: usize) {
    use Phase::{Body, Data, Dot, Ehlo, Greeting, Mail, Rcpt};
    let acts = [
        Act::Reply("451 4.3.0 later".to_owned()),
        Act::Reply(format!("451 4.3.0 {}", "later ".repeat(1_700))),
        Act::Reply("\u{1}\u{7f}garbage".to_owned()),
        Act::Drop,
        Act::Hang,
    ];
    while rig.faults < times {
        let phase = *rig.random.of(&[Greeting, Ehlo, Mail, Rcpt, Data, Body, Dot]);
        let act = rig.random.of(&acts).clone();
        rig.sink.inject(Fault { phase, act, times: 1, to: None });
        rig.faults += 1;
        rig.pause(10, 60).await;
    }
    rig.pause(1_000, 2_000).await;
}

/// Each answer of the relay takes a while.
pub async fn slow(rig: &mut Rig, pause: Duration) {
    rig.pause(500, 1_000).await;
    rig.relay.as_ref().expect("before it").set(Way::Slow(Duration::from_millis(200)));
    tokio::time::sleep(pause).await;
    rig.relay.as_ref().expect("before it").set(Way::Open);
    rig.faults += 1;
    rig.pause(500, 1_000).await;
}

/// As a provider's account does that is too small.
pub async fn throttles(rig: &mut Rig, pause: Duration) {
    rig.pause(500, 1_000).await;
    rig.sink.limit(Limits { mails_per_second_max: 100, connections_max: 5 });
    tokio::time::sleep(pause).await;
    rig.sink.limit(Limits::default());
    rig.faults += 1;
    rig.pause(500, 1_000).await;
}

/// The first of two relays ends, whatever is under way on its connections, and comes back. What it took is kept with what the
/// other takes.
pub async fn one_dies(mut plan: Plan, server: &mut Server, times: usize) -> Verdict {
    let (first, port, _stop) = sink().await;
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await;
    plan.relays = relay("first", proxy.address.port());
    let mut rig = Rig::start(plan, server).await;
    rig.also = Some(first);
    rig.work().await;
    for _ in 0..times {
        rig.pause(1_000, 2_000).await;
        proxy.set(Way::Closed);
        rig.pause(1_000, 2_000).await;
        proxy.set(Way::Open);
        rig.faults += 1;
    }
    rig.pause(1_000, 2_000).await;
    rig.judge().await
}
