//! How long who waits for a mail waits while many others do: mails about accounts, alone and behind a long queue of orders'.

use std::time::Duration;

use ecomm::host::Host;
use ecomm::notification::Filter;
use ecomm::service::{PageRequest, Principal};

use crate::rig;

/// Orders that are queued.
const ORDERS: usize = 20_000;
/// Mails about accounts, and how many are asked for in a second.
const MAILS: u32 = 100;
const PER_SECOND: u64 = 50;

pub(crate) async fn measure() {
    println!("\nfairness: from commit to recorded end of {MAILS} mails about accounts, {PER_SECOND} a second");
    for database in rig::databases() {
        let mut row = Vec::new();
        let mut left = 0;
        for orders in [0, ORDERS] {
            let more = [
                ("ACCOUNTS__PAGES_URL", "https://shop.example/a/"),
                ("ACCOUNTS__MAILS_PER_HOUR_MAX", "0"),
                ("LIMITS__VERIFICATIONS_PER_MAILBOX_MAX", "0"),
            ];
            let host = rig::host_with(&database.fresh().await, false, &more).await;
            let (who, product) = rig::shop(&host.service).await;
            // Each in a lane of its own, as those who wait are.
            let mut users = Vec::new();
            for n in 0..MAILS {
                users.push(user(&host, n).await);
            }
            host.queue.run_until_idle().await;
            rig::fill(&host.service, who, product, orders).await;
            let working = async {
                loop {
                    host.queue.run_until_idle().await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let mut waits = tokio::select! {
                waits = asked(&host, &users) => waits,
                () = working => unreachable!("it goes on"),
            };
            let admin = Principal { user_id: 0, session_id: 0, is_admin: true, role: None };
            left = host.service.queue_status(admin).await.expect("a status").queued;
            row.extend([rig::percentile(&mut waits, 50), rig::percentile(&mut waits, 99)]);
            host.stop().await;
        }
        println!(
            "  {:<12} alone p50 {:>4.0} p99 {:>4.0} ms   behind {ORDERS} orders ({left} left) p50 {:>4.0} p99 {:>4.0} ms",
            database.name, row[0], row[1], row[2], row[3]
        );
    }
}

async fn user(host: &Host, n: u32) -> Principal {
    let new = serde_json::json!({ "email": format!("user{n}@example.com"), "name": "User", "password": "long enough" });
    let user = host.service.sign_up(serde_json::from_value(new).expect("a user")).await.expect("signed up");
    Principal { user_id: user.id, session_id: 0, is_admin: false, role: None }
}

/// Asks for the mails while the host works; how long each took, in milliseconds.
async fn asked(host: &Host, users: &[Principal]) -> Vec<f64> {
    let service = &host.service;
    for who in users {
        service.request_verification(*who, who.user_id).await.expect("asked");
        tokio::time::sleep(Duration::from_millis(1_000 / PER_SECOND)).await;
    }
    let admin = Principal { user_id: 0, session_id: 0, is_admin: true, role: None };
    let kind = Some("account.verify-email".to_owned());
    // Each had one when they signed up.
    let filter = Filter { kind, newest_first: true, ..Filter::default() };
    let page = PageRequest { limit: Some(MAILS), cursor: None };
    loop {
        let found = service.notifications(admin, &filter, &page).await.expect("a page").items;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let waits: Vec<f64> =
            found.iter().filter_map(|record| Some((record.completed_at? - record.created_at) as f64)).collect();
        if waits.len() == MAILS as usize {
            return waits;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
