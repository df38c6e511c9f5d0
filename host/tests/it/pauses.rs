//! Parts of the queue that operators pause: what goes by a relay, what is of a kind.

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use ecomm::mail::mailbox::Phase;
use serde_json::{Value, json};

use crate::app::{App, environment, eventually, journal, reply, sqlite};
use crate::console::Browser;
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        mails_of_a_paused_kind_wait_and_their_orders_with_them
    }
    on_each_server {
        every_host_follows
    }
    once {
        a_paused_relay_gives_up_no_mail
        mails_go_by_another_relay
        the_console_and_the_command_line_do_the_same
        what_cannot_be_paused_is_refused
    }
}

async fn call(app: &App, verb: &str, part: &str) -> Value {
    app.client.ok("POST", &format!("/v1/queue/{verb}{part}"), &app.admin, Some(json!({ "why": "a test" }))).await
}

async fn resume(app: &App, part: &str) -> Value {
    app.client.ok("POST", &format!("/v1/queue/resume{part}"), &app.admin, None).await
}

async fn mails_of_a_paused_kind_wait_and_their_orders_with_them(database: Database) {
    let app = App::start(database).await;
    let stands = call(&app, "pause", "?kind=order.shipped").await;
    assert_eq!((&stands["paused"], &stands["paused_parts"][0]["kind"]), (&Value::Null, &json!("order.shipped")));
    assert_eq!(stands["paused_parts"][0]["why"], "a test");
    let order = app.order().await;
    app.drain().await;
    for status in ["shipped", "delivered"] {
        app.change(order, status).await;
    }
    app.drain().await;
    // Looked at again and again, it is not an attempt.
    for _ in 0..3 {
        app.clock.advance(30_000);
        app.drain().await;
    }
    let other = app.order().await;
    app.drain().await;
    let placed = |order: i64| format!("order {order}");
    let subjects = app.subjects();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects[0].contains(&placed(order)) && subjects[1].contains(&placed(other)), "{subjects:?}");
    let waiting = app.notifications(order).await[1].clone();
    assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("not sent"), &json!(0)));
    assert_eq!(journal(&waiting), [""; 0]);

    // Twice is once, and it stays as it was.
    call(&app, "pause", "?kind=order.shipped").await;
    assert_eq!(resume(&app, "?kind=order.shipped").await["paused_parts"], json!([]));
    app.clock.advance(30_000);
    app.drain().await;
    let kinds: Vec<_> = app.notifications(order).await.as_array().unwrap().iter().map(|n| n["state"].clone()).collect();
    assert_eq!(kinds, ["sent", "sent", "sent"]);
    // As the customer reads them: none has overtaken another.
    let subjects = app.subjects().split_off(2);
    assert!(
        subjects.len() == 2 && subjects[0].contains("on its way") && subjects[1].contains("arrived"),
        "{subjects:?}"
    );
    app.end().await;
}

/// One that starts while something is paused, and one that runs when that ends.
async fn every_host_follows(database: Database) {
    let app = App::start(database).await;
    call(&app, "pause", "?kind=order.placed").await;
    let order = app.order().await;
    let mut config = Config::load(None, environment(&app.database, &[("MAILBOX__ENABLED", "false")])).unwrap();
    let (mailbox, relay) = (app.host.service.mailbox.clone().unwrap(), "sink");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.mail.relays.push(ecomm::mail::RelaySettings {
        tls: ecomm::mail::Tls::None,
        ..ecomm::mail::RelaySettings::new(relay, "127.0.0.1", listener.local_addr().unwrap().port())
    });
    let stop = tokio_util::sync::CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { mailbox.serve(listener, stop).await });
    let worker = Roles { api: false, grpc: false, worker: true };
    let host = Host::start(config, worker, Clock::system()).await.unwrap();
    // It has looked at the mail, and put it back.
    let parked = format!("select epoch from notification_events_queue where lane = {order}");
    eventually("a look at what is paused", async || app.database.number(&parked).await > 1).await;
    assert_eq!((app.mailbox.messages().len(), app.queued().await), (0, 1));
    resume(&app, "?kind=order.placed").await;
    eventually("the mail", async || app.mailbox.messages().len() == 1).await;
    // And a pause that begins while it runs.
    call(&app, "pause", "?kind=order.placed").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    app.order().await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!((app.mailbox.messages().len(), app.queued().await), (1, 1));
    host.stop().await;
    app.end().await;
}

async fn a_paused_relay_gives_up_no_mail() {
    let app = App::start(sqlite().await).await;
    call(&app, "pause", "?relay=mailbox").await;
    let order = app.order().await;
    app.drain().await;
    // Longer than any mail may be tried.
    for _ in 0..12 {
        app.clock.advance(86_400_000);
        app.drain().await;
    }
    let waiting = app.notifications(order).await[0].clone();
    assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("not sent"), &json!(0)));
    assert_eq!(app.mailbox.messages().len(), 0);
    let stands = resume(&app, "?relay=mailbox").await;
    assert_eq!(stands["paused_parts"], json!([]));
    app.clock.advance(30_000);
    app.drain().await;
    assert_eq!(app.states().await, ["sent"]);

    // One that had failed before, longer ago than any may be tried, fails once more after the pause: the pause is not its age.
    app.fail(Phase::Rcpt, reply("450 4.2.0 busy"), 1);
    let order = app.order().await;
    app.drain().await;
    call(&app, "pause", "?relay=mailbox").await;
    app.clock.advance(4 * 86_400_000);
    app.drain().await;
    resume(&app, "?relay=mailbox").await;
    app.fail(Phase::Rcpt, reply("450 4.2.0 busy"), 1);
    app.clock.advance(30_000);
    app.drain().await;
    let failed = app.notifications(order).await[0].clone();
    assert_eq!((&failed["state"], &failed["attempts"]), (&json!("not sent"), &json!(2)));
    app.clock.advance(30 * 60_000);
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent"]);
    app.end().await;
}

async fn mails_go_by_another_relay() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = |name: &str| format!("{{ name = \"{name}\", host = \"127.0.0.1\", port = {port}, tls = \"none\" }}");
    let relays = format!("[{}, {}]", relay("first"), relay("second"));
    let listen = format!("127.0.0.1:{port}");
    let app = App::with(sqlite().await, &[("MAIL__RELAYS", &relays), ("MAILBOX__LISTEN", &listen)]).await;
    let by = async || {
        let order = app.order().await;
        app.drain().await;
        app.notifications(order).await[0]["journal"][0]["relay"].clone()
    };
    assert_eq!(by().await, "first");
    call(&app, "pause", "?relay=first").await;
    assert_eq!(by().await, "second");
    resume(&app, "?relay=first").await;
    assert_eq!(by().await, "first");
    app.end().await;
}

async fn the_console_and_the_command_line_do_the_same() {
    let app = App::start(sqlite().await).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    admin.act("/console/queue/pause", &[("part", "relay mailbox")]).await;
    assert!(admin.get("/console").await.text.contains("relay mailbox is paused"));
    assert_eq!(admin.act("/console/queue/pause", &[("part", "mailbox")]).await.status, 422);
    assert!(!admin.get("/console").await.text.contains("The queue is paused"));
    let ecomm = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ecomm"));
        command.args(["notification"]).args(args).envs(environment(&app.database, &[("LOG__FILTER", "off")]));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(ecomm(&["queue"]).contains("the relay mailbox is paused by user 1: a test"));
    admin.act("/console/queue/resume", &[("part", "relay mailbox")]).await;
    assert!(!admin.get("/console").await.text.contains("is paused"));
    let said = ecomm(&["pause", "--kind", "order.placed", "--why", "by hand"]);
    assert!(said.contains("the kind order.placed is paused by command line: by hand"), "{said}");
    assert!(admin.get("/console").await.text.contains("kind order.placed is paused"));
    assert!(ecomm(&["pause", "--relay", "mailbox"]).contains("the relay mailbox is paused by command line"));
    for part in [["--kind", "order.placed"], ["--relay", "mailbox"]] {
        ecomm(&["resume", part[0], part[1]]);
    }
    assert_eq!(app.client.ok("GET", "/v1/queue", &app.admin, None).await["paused_parts"], json!([]));
    assert!(admin.get("/console/audit").await.text.contains("relay mailbox"));
    app.end().await;
}

async fn what_cannot_be_paused_is_refused() {
    let app = App::start(sqlite().await).await;
    let refused = async |part: &str, token: &str| {
        let body = Some(json!({ "why": "" }));
        let (status, problem) = app.client.call("POST", &format!("/v1/queue/pause{part}"), token, body).await;
        (status.as_u16(), problem.to_string())
    };
    let (status, says) = refused("?relay=lost", &app.admin).await;
    assert!(status == 409 && says.contains("it has: mailbox"), "{status} {says}");
    let (status, says) = refused("?kind=order.lost", &app.admin).await;
    assert!(
        status == 422 && says.contains("order.placed, order.partly-shipped, order.shipped, order.delivered"),
        "{says}"
    );
    let (status, says) = refused("?kind=order.placed&relay=mailbox", &app.admin).await;
    assert!(status == 409 && says.contains("each by itself"), "{status} {says}");
    let (status, says) = refused("?relay=%00", &app.admin).await;
    assert!(status == 422 && says.contains("U+0000"), "{status} {says}");
    assert_eq!(refused("?domain=example.com", &app.admin).await.0, 400);
    assert_eq!(refused("?relay=mailbox", &app.customer).await.0, 403);
    let stands = app.client.ok("GET", "/v1/queue", &app.admin, None).await;
    assert_eq!(stands["paused_parts"], json!([]));
    app.end().await;
}
