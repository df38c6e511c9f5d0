//! A relay that takes only so many mails a second over so many connections, as a provider's account does: how much of its
//! rate is used, and how much is refused.

use std::time::{Duration, Instant};

use ecomm::mail::mailbox::Limits;

use crate::rig;

const LIMITS: Limits = Limits { mails_per_second_max: 14, connections_max: 10 };
const RAISED: Limits = Limits { mails_per_second_max: 28, connections_max: 10 };
/// Enough that the queue does not run dry.
const QUEUED: usize = 20_000;
const MEASURED: Duration = Duration::from_mins(2);
const FOUND: Duration = Duration::from_mins(1);

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) async fn measure() {
    for database in rig::databases() {
        let host = rig::host(&database.fresh().await, false).await;
        let (who, product) = rig::shop(&host.service).await;
        rig::fill(&host.service, who, product, QUEUED).await;
        let mailbox = host.service.mailbox.clone().expect("a mailbox");
        mailbox.limit(LIMITS);
        let arrived = mailbox.count();
        let stop = tokio_util::sync::CancellationToken::new();
        let (queue, stopped) = (host.queue.clone(), stop.clone());
        let worker = tokio::spawn(async move { queue.run(stopped).await });
        println!("\nrelay, {}: 14 mails/s over at most 10 connections, {QUEUED} queued", database.name);
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
        worker.await.expect("the worker ends");
        host.stop().await;
    }
}
