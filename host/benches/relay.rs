//! A relay that takes only so many mails a second over so many connections, as a provider's account does: how much of its
//! rate is used, and how much is refused; by one host, and by two on one database.

use std::time::{Duration, Instant};

use ecomm::host::Host;
use ecomm::mail::mailbox::{Limits, Mailbox};

use crate::rig;

const LIMITS: Limits = Limits { mails_per_second_max: 14, connections_max: 10 };
const RAISED: Limits = Limits { mails_per_second_max: 28, connections_max: 10 };
/// Enough that the queue does not run dry.
const QUEUED: usize = 20_000;
const MEASURED: Duration = Duration::from_mins(2);
const FOUND: Duration = Duration::from_mins(1);

pub(crate) async fn measure() {
    for database in rig::databases() {
        let counts: &[usize] = if database.name == "SQLite" { &[1] } else { &[1, 2] };
        for count in counts {
            let url = database.fresh().await;
            let port = rig::free_port();
            let first = rig::host_with(&url, false, &[("MAILBOX__LISTEN", &format!("127.0.0.1:{port}"))]).await;
            let (who, product) = rig::shop(&first.service).await;
            rig::fill(&first.service, who, product, QUEUED).await;
            let mailbox = first.service.mailbox.clone().expect("a mailbox");
            mailbox.limit(LIMITS);
            // The second host's mail goes to the first one's mailbox.
            let relay = rig::relay(port, 96);
            let mut hosts = vec![first];
            if *count == 2 {
                hosts.push(rig::host_with(&url, false, &[("MAIL__RELAYS", &relay)]).await);
            }
            println!(
                "\nrelay, {}, {count} hosts: 14 mails/s over at most 10 connections, {QUEUED} queued",
                database.name
            );
            limited(hosts, &mailbox).await;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn limited(hosts: Vec<Host>, mailbox: &Mailbox) {
    let arrived = mailbox.count();
    let stop = tokio_util::sync::CancellationToken::new();
    let work = |host: &Host| {
        let (queue, stopped) = (host.queue.clone(), stop.clone());
        tokio::spawn(async move { queue.run(stopped).await })
    };
    let workers: Vec<_> = hosts.iter().map(work).collect();
    let begun = Instant::now();
    tokio::time::sleep(MEASURED).await;
    let (count, refused) = (*arrived.borrow(), mailbox.refused());
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("  {rate:>6.2} mails/s, {:.1} % of the relay's rate", rate * 100.0 / 14.0);
    println!(
        "  refused: {} mails and {} connections, {:.2} % of the mails",
        refused.mails,
        refused.connections,
        (refused.mails + refused.connections) as f64 * 100.0 / count as f64
    );
    mailbox.limit(RAISED);
    tokio::time::sleep(FOUND).await;
    let (before, begun) = (*arrived.borrow(), Instant::now());
    tokio::time::sleep(FOUND).await;
    let rate = (*arrived.borrow() - before) as f64 / begun.elapsed().as_secs_f64();
    println!("  a minute after the limit was raised to 28: {rate:.2} mails/s");
    stop.cancel();
    for worker in workers {
        worker.await.expect("the worker ends");
    }
    for host in hosts {
        host.stop().await;
    }
}
