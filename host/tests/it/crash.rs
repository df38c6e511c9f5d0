//! The host is killed, as `kill -9` does, and started again.

use std::process::Child;

use ecomm::mail::mailbox::{Act, Fault, Mailbox, Phase};
use serde_json::json;
use tokio_util::sync::DropGuard;

use crate::app::{Client, PASSWORD, environment, eventually, journal};
use crate::database::Database;
use crate::endpoints::{self, requests};
use crate::harness::tests;
use crate::mail_apis::server::{Act as Said, Server};
use crate::process::{OURS, Sink, command, create_admin, free_address, ready, terminate};
use crate::reports::Peer;

tests! {
    on_each_database {
        killed_before_hand_over_the_mail_arrives_once
        killed_after_the_dot_the_mail_arrives_at_most_twice
        terminated_the_host_drains_and_burns_no_attempt
        killed_at_each_step_a_report_is_known_once
        killed_while_an_endpoint_takes_a_request_it_comes_again_under_its_id
        restarted_it_goes_on_before_its_leases_end
    }
    on_each_server {
        others_go_on_with_what_was_not_handed_over
    }
}

/// The host as a process of its own, and a mailbox that outlives it.
pub struct Rig {
    pub database: Database,
    pub mailbox: Mailbox,
    pub settings: Vec<(String, String)>,
    child: Child,
    reports: String,
    pub client: Client,
    pub admin: String,
    _stop: DropGuard,
}

impl Rig {
    pub async fn start(database: Database) -> Self {
        let sink = Sink::start(&database, 100).await;
        let reports = free_address();
        let http = free_address();
        let grpc = free_address();
        let more = [
            ("HTTP__LISTEN", http.as_str()),
            ("GRPC__LISTEN", grpc.as_str()),
            ("MAIL__RETURN_PATH", "bounces@shop.example"),
            ("INBOUND__LISTEN", reports.as_str()),
            endpoints::HERE,
            ("QUEUE__LEASE_MS", "2000"),
            ("QUEUE__POLL_MS", "100"),
            ("CAPS__JITTER_PERCENT", "0"),
            ("LOG__FILTER", "error"),
        ];
        let mut settings = environment(&database, &more);
        settings.extend(sink.settings.clone());
        create_admin(OURS, &settings, PASSWORD);
        let child = command(OURS, &["serve"], &settings).spawn().unwrap();
        let client = Client::new(&http);
        ready(&client).await;
        let admin = client.log_in("admin@shop.example").await;
        let user = json!({ "email": "ada@example.com", "name": "Ada", "password": PASSWORD });
        client.ok("POST", "/v1/users", "", Some(user)).await;
        Self { database, mailbox: sink.mailbox, settings, child, reports, client, admin, _stop: sink.stop }
    }

    pub async fn order(&self) -> i64 {
        let price = json!({ "amount": 100, "currency": "EUR" });
        let sku = ecomm::clock::Clock::system().uuid().to_string();
        let new = json!({ "sku": sku, "name": "Cup", "price": price, "stock": 5 });
        let product = self.client.ok("POST", "/v1/products", &self.admin, Some(new)).await;
        let token = self.client.log_in("ada@example.com").await;
        let new = json!({ "items": [{ "product_id": product["id"], "quantity": 1 }] });
        self.client.ok("POST", "/v1/orders", &token, Some(new)).await["id"].as_i64().unwrap()
    }

    fn hang_once(&self, phase: Phase) {
        self.mailbox.inject(Fault { phase, act: Act::Hang, times: 1, to: None });
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn restart(&mut self) {
        self.child = command(OURS, &["serve"], &self.settings).spawn().unwrap();
        ready(&self.client).await;
    }

    async fn state(&self, order: i64) -> serde_json::Value {
        let path = format!("/v1/orders/{order}/notifications");
        self.client.ok("GET", &path, &self.admin, None).await[0].clone()
    }

    /// The policy's first pause after a mail in doubt is 30 s, and 5 s after a request; a second is enough here.
    pub async fn restart_with_short_pauses(&mut self) {
        self.kill();
        let policy = self.database.folder.path().join("policy.json");
        std::fs::write(&policy, r#"{"backoff_first_ms": 1000, "webhook_retries_ms": [1000, 1000]}"#).unwrap();
        self.settings.push(("ECOMM__PLUGINS__POLICY__CONFIG_PATH".to_owned(), policy.display().to_string()));
        self.restart().await;
    }

    async fn sent(&self, order: i64) {
        eventually("the mail", async || self.state(order).await["state"] == "sent").await;
        assert_eq!(self.database.number("select count(*) from notification_events_queue").await, 0);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The intent is committed while the envelope goes out: a crash between the two finds a mail in doubt that the relay was
/// never offered. It is counted, and arrives once.
async fn killed_before_hand_over_the_mail_arrives_once(database: Database) {
    let mut rig = Rig::start(database).await;
    rig.restart_with_short_pauses().await;
    rig.hang_once(Phase::Data);
    let order = rig.order().await;
    eventually("the fault", async || rig.mailbox.faults() == 0).await;
    let phase = async || rig.database.number("select phase from notification_events_queue").await;
    eventually("the intent", async || phase().await == 1).await;
    rig.kill();
    assert!(rig.mailbox.messages().is_empty());
    rig.restart().await;
    rig.sent(order).await;
    assert_eq!(rig.mailbox.messages().len(), 1);
    let state = rig.state(order).await;
    assert_eq!(journal(&state), ["send body in-doubt - retry", "send body delivered 250 -"]);
    assert_eq!(state["attempts"], 2);
}

async fn killed_after_the_dot_the_mail_arrives_at_most_twice(database: Database) {
    let mut rig = Rig::start(database).await;
    rig.restart_with_short_pauses().await;
    rig.hang_once(Phase::Dot);
    let order = rig.order().await;
    eventually("the mail, unanswered", async || rig.mailbox.messages().len() == 1).await;
    rig.kill();
    assert_eq!(rig.database.number("select phase from notification_events_queue").await, 1);
    assert_eq!(rig.database.texts("select state from notification_states").await, ["not sent"]);
    rig.restart().await;
    rig.sent(order).await;
    let ids: Vec<String> = rig.mailbox.messages().into_iter().map(|m| m.message_id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    let state = rig.state(order).await;
    assert_eq!(journal(&state), ["send body in-doubt - retry", "send body delivered 250 -"]);
    assert_eq!(state["attempts"], 2);
}

async fn terminated_the_host_drains_and_burns_no_attempt(database: Database) {
    let mut rig = Rig::start(database).await;
    rig.settings.push(("ECOMM__QUEUE__DRAIN_MS_MAX".to_owned(), "300".to_owned()));
    rig.kill();
    rig.restart().await;
    rig.hang_once(Phase::Rcpt);
    let order = rig.order().await;
    eventually("the fault", async || rig.mailbox.faults() == 0).await;
    terminate(&mut rig.child);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let due = rig.database.number("select due_at from notification_events_queue").await;
    assert!(i128::from(due) <= i128::try_from(now).unwrap(), "the lease was given back");
    assert_eq!(rig.database.number("select attempts + claims from notification_events_queue").await, 0);
    rig.restart().await;
    rig.sent(order).await;
    assert_eq!(rig.state(order).await["attempts"], 1);
    assert_eq!(rig.mailbox.messages().len(), 1);
}

/// A server that reports keeps its report until it is answered for, and then says it once more: whenever the host dies, the
/// report is known, and once; and what the policy makes of it is done once.
async fn killed_at_each_step_a_report_is_known_once(database: Database) {
    let mut rig = Rig::start(database).await;
    let order = rig.order().await;
    rig.sent(order).await;
    let back = rig.mailbox.messages()[0].from.clone();
    for step in 0..7_usize {
        let mail = format!("Message-ID: <{step}@relay.example>\r\nSubject: failure notice\r\n\r\nIt came back.");
        let mut peer = Peer::connect(rig.reports.parse().unwrap()).await;
        let (rcpt, half) = (format!("RCPT TO:<{back}>"), &mail[..mail.len() / 2]);
        let steps = ["EHLO relay.example", "MAIL FROM:<>", &rcpt, "DATA"];
        for line in &steps[..step.min(4)] {
            peer.say(line).await;
        }
        let known = || rig.database.number("select count(*) from notification_reports");
        match step {
            4 => peer.tell(half).await,
            5 => peer.tell(&format!("{mail}\r\n.\r\n")).await,
            6 => {
                peer.tell(&format!("{mail}\r\n.\r\n")).await;
                // Written down, and not answered for yet as far as its sender knows.
                eventually("the report", async || known().await == 7).await;
            }
            _ => {}
        }
        rig.kill();
        rig.restart().await;
        let mut peer = Peer::connect(rig.reports.parse().unwrap()).await;
        peer.say("EHLO relay.example").await;
        assert!(peer.send("", &back, &mail).await.starts_with("250"), "{step}");
        let notification = rig.state(order).await;
        let known = notification["reports"].as_array().unwrap().len();
        let decided = notification["journal"].as_array().unwrap().iter().filter(|e| e["phase"] == "report").count();
        assert_eq!((known, decided), (step + 1, step + 1));
    }
}

/// Killed when all of a request was sent, and when the answer was on its way: it is in doubt, comes again with its id, and what is
/// behind it in its lane after it.
async fn killed_while_an_endpoint_takes_a_request_it_comes_again_under_its_id(database: Database) {
    let mut rig = Rig::start(database).await;
    rig.restart_with_short_pauses().await;
    let server = Server::start().await;
    let new = json!({ "url": format!("http://127.0.0.1:{}/", server.port), "orders": "all" });
    let made = rig.client.ok("POST", "/v1/webhook-endpoints", &rig.admin, Some(new)).await;
    server.then(Said::Silence);
    server.then(Said::Silence);
    let order = rig.order().await;
    let shipped = json!({ "status": "shipped" });
    rig.client.ok("PATCH", &format!("/v1/orders/{order}/status"), &rig.admin, Some(shipped)).await;
    // No mail is on its way when the host is killed.
    let sent = "select count(*) from notification_states where state = 'sent'";
    eventually("the mails", async || rig.database.number(sent).await == 2).await;
    for killed in 1..=2 {
        eventually("the request", async || server.requests().len() == killed).await;
        rig.kill();
        assert_eq!(rig.database.number("select count(*) from notification_events_queue where phase = 1").await, 1);
        if killed == 2 {
            // Paused, it is not sent anything; what may have arrived is on record all the same.
            rig.database.execute("update webhook_endpoints set state = 'paused'").await;
        }
        rig.restart().await;
    }
    let settled = "select count(*) from notification_attempts where kind = 'send' and class = 'in-doubt'";
    eventually("the doubt", async || rig.database.number(settled).await == 2).await;
    assert_eq!(
        (server.requests().len(), rig.database.number("select max(phase) from notification_events_queue").await),
        (2, 0)
    );
    let path = format!("/v1/webhook-endpoints/{}", made["endpoint"]["id"]);
    rig.client.ok("PATCH", &path, &rig.admin, Some(json!({ "state": "active" }))).await;
    let path = format!("/v1/notifications?endpoint_id={}", made["endpoint"]["id"]);
    let told = async || rig.client.ok("GET", &path, &rig.admin, None).await["items"].as_array().unwrap().clone();
    eventually("the requests", async || told().await.iter().all(|n| n["state"] == "sent")).await;
    let told = told().await;
    let of = |n: usize| told[n]["message_id"].as_str().unwrap().to_owned();
    let ids: Vec<_> = requests(&server).iter().map(|request| request.id().to_owned()).collect();
    assert_eq!(ids, [of(0), of(0), of(0), of(1)]);
    let doubt = "send body in-doubt - retry";
    assert_eq!(journal(&told[0]), [doubt, doubt, "send body delivered 200 -"]);
    assert_eq!(told[0]["attempts"], 3);
}

/// Longer than any test waits.
const LEASE: (&str, &str) = ("ECOMM__QUEUE__LEASE_MS", "600000");

async fn restarted_it_goes_on_before_its_leases_end(database: Database) {
    let mut rig = Rig::start(database).await;
    rig.settings.push((LEASE.0.to_owned(), LEASE.1.to_owned()));
    rig.restart_with_short_pauses().await;
    rig.hang_once(Phase::Rcpt);
    let order = rig.order().await;
    eventually("the fault", async || rig.mailbox.faults() == 0).await;
    rig.kill();
    rig.restart().await;
    rig.sent(order).await;
}

/// That a host of another machine is gone is never certain: a mail may be on its way.
async fn others_go_on_with_what_was_not_handed_over(database: Database) {
    let mut rig = Rig::start(database).await;
    rig.settings.push((LEASE.0.to_owned(), LEASE.1.to_owned()));
    let config = rig.database.folder.path().join("ecomm.toml");
    let relay = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, relay + "connections_max = 1\n").unwrap();
    rig.kill();
    rig.restart().await;
    rig.hang_once(Phase::Dot);
    let mut orders = Vec::new();
    for _ in 0..6 {
        orders.push(rig.order().await);
    }
    let claimed = "select count(*) from notification_events_queue where claims = 1";
    eventually("the claims", async || rig.database.number(claimed).await == 6).await;
    eventually("a mail, unanswered", async || rig.mailbox.messages().len() == 1).await;
    rig.kill();
    let begun = rig.database.number("select count(*) from notification_events_queue where phase = 1").await;
    assert!((1..6).contains(&begun), "{begun}");
    rig.database.execute("update hosts set machine = 'another'").await;
    rig.restart().await;
    let left = "select count(*) from notification_events_queue";
    eventually("the mails", async || rig.database.number(left).await == begun).await;
    let leased = "select count(*) from notification_events_queue where phase = 1 and claims = 1";
    assert_eq!(rig.database.number(leased).await, begun);
}
