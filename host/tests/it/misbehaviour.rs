//! Every way in which a component can be bad at run time: the event goes on, nothing is charged, the error says why.

use ecomm::mail::mailbox::Phase;
use serde_json::{Value, json};

use crate::app::{App, eventually, journal, reply, sqlite};
use crate::harness::tests;

tests! {
    once {
        a_renderer_that_loops_runs_out_of_time
        a_replay_of_one_that_loops_runs_out_of_fuel
        a_renderer_that_hoards_memory_is_stopped
        a_renderer_that_recurses_is_stopped
        a_renderer_that_traps_is_replaced
        a_panic_is_recorded_with_its_message
        a_mail_that_is_too_large_is_refused
        a_header_in_the_subject_is_refused
        a_header_of_the_host_is_refused
        an_empty_subject_is_refused
        an_error_is_recorded
        stderr_in_configure_then_a_panic_in_render
        a_policy_that_fails_to_admit_is_replaced
        a_policy_that_fails_on_a_failure_is_replaced
        invalid_delays_are_clamped
        skipped_and_held_mails_leave_the_queue
        chatter_is_cut_and_harms_nobody
        a_sleep_takes_no_time
        time_in_which_others_run_is_not_charged
        a_looping_renderer_does_not_stop_the_api
        a_looping_renderer_keeps_no_policy_waiting
    }
}

/// A host whose slots are both served by the guest that does what `config` says, except on the gate's fixtures.
async fn with(config: Value, more: &[(&str, &str)]) -> App {
    let database = sqlite().await;
    let mut config = config;
    config["spare_order"] = json!("4242424242");
    let path = database.folder.path().join("misbehaving.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let path = path.display().to_string();
    let mut settings = vec![
        ("PLUGINS__RENDERER__PATH", env!("MISBEHAVING_WASM")),
        ("PLUGINS__RENDERER__CONFIG_PATH", path.as_str()),
        ("PLUGINS__POLICY__PATH", env!("MISBEHAVING_WASM")),
        ("PLUGINS__POLICY__CONFIG_PATH", path.as_str()),
        ("PLUGINS__CALL__TIME_MS_MAX", "300"),
    ];
    settings.extend_from_slice(more);
    let mut app = App::with(database, &settings).await;
    let refused = app.host.prepared().await;
    assert!(refused.is_empty(), "{refused:?}");
    app
}

/// The renderer misbehaves: the built-in renders, the fault is in the journal, one attempt delivers.
async fn renders_all_the_same(act: &str, code: &str, more: &[(&str, &str)]) -> Value {
    let app = with(json!({ "render": act }), more).await;
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.subjects(), [format!("Your order {order} at My Shop")], "{act}");
    let notification = app.notifications(order).await[0].clone();
    assert_eq!(notification["state"], "sent");
    assert_eq!(notification["attempts"], 1);
    let mut lines = journal(&notification);
    lines.sort();
    assert_eq!(lines, [format!("fault render {code} - -"), "send body delivered 250 -".to_owned()], "{act}");
    app.end().await;
    notification
}

fn fault(notification: &Value) -> &str {
    let entries = notification["journal"].as_array().unwrap();
    entries.iter().find(|e| e["kind"] == "fault").unwrap()["reply"].as_str().unwrap()
}

const MUCH_FUEL: (&str, &str) = ("PLUGINS__CALL__FUEL_MAX", "100000000000");

async fn a_renderer_that_loops_runs_out_of_time() {
    renders_all_the_same("loop", "deadline", &[]).await;
}

/// Replays count instructions, which are the same on every machine.
async fn a_replay_of_one_that_loops_runs_out_of_fuel() {
    let app = with(json!({ "render": "loop" }), &[("PLUGINS__CALL__TIME_MS_MAX", "20000")]).await;
    let looping = app.client.ok("GET", "/v1/plugins", &app.admin, None).await[0]["active"]["revision"].clone();
    let builtin = app.client.ok("POST", "/v1/plugins/renderer/rollback", &app.admin, Some(json!({}))).await;
    assert_eq!(builtin["active"]["origin"], "built-in", "{builtin}");
    app.order().await;
    app.drain().await;
    let path = format!("/v1/plugins/revisions/{looping}/replays");
    let replay = app.client.ok("POST", &path, &app.admin, Some(json!({}))).await;
    assert_eq!((&replay["events"], &replay["faults"]), (&json!(1), &json!(1)), "{replay}");
    assert!(replay["examples"][0]["fault"].as_str().unwrap().starts_with("used up its fuel of "), "{replay}");
    app.end().await;
}

async fn a_renderer_that_hoards_memory_is_stopped() {
    renders_all_the_same("hog_memory", "memory", &[MUCH_FUEL, ("PLUGINS__CALL__TIME_MS_MAX", "20000")]).await;
}

async fn a_renderer_that_recurses_is_stopped() {
    renders_all_the_same("recurse", "stack", &[MUCH_FUEL, ("PLUGINS__CALL__TIME_MS_MAX", "20000")]).await;
}

async fn a_renderer_that_traps_is_replaced() {
    renders_all_the_same("trap", "trap", &[]).await;
}

async fn a_panic_is_recorded_with_its_message() {
    let notification = renders_all_the_same("panic", "trap", &[]).await;
    assert!(fault(&notification).contains("the panic that was asked for"), "{}", fault(&notification));
}

async fn a_mail_that_is_too_large_is_refused() {
    let more = [MUCH_FUEL, ("PLUGINS__CALL__MEMORY_BYTES_MAX", "268435456"), ("PLUGINS__CALL__TIME_MS_MAX", "20000")];
    renders_all_the_same("huge_output", "output_too_large", &more).await;
}

async fn a_header_in_the_subject_is_refused() {
    renders_all_the_same("inject_header", "bad_output", &[]).await;
}

async fn a_header_of_the_host_is_refused() {
    renders_all_the_same("owned_header", "bad_output", &[]).await;
}

async fn an_empty_subject_is_refused() {
    renders_all_the_same("empty_subject", "bad_output", &[]).await;
}

async fn an_error_is_recorded() {
    let notification = renders_all_the_same("error", "refused", &[]).await;
    assert!(fault(&notification).contains("refused as asked"));
}

async fn stderr_in_configure_then_a_panic_in_render() {
    let app = with(json!({ "configure": "stderr", "render": "panic" }), &[]).await;
    let report = crate::gate::report(&app).await;
    assert_eq!(report["snapshotted"], false);
    assert!(report["snapshot_note"].as_str().unwrap().contains("handle"));
    let order = app.order().await;
    app.drain().await;
    let notification = &app.notifications(order).await[0];
    assert_eq!(notification["state"], "sent");
    assert!(fault(notification).contains("the panic that was asked for"), "{}", fault(notification));
    app.end().await;
}

/// The policy misbehaves in `admit`: the mail goes out by the host's own rule.
async fn admits_all_the_same(act: &str, code: &str, more: &[(&str, &str)]) {
    let app = with(json!({ "admit": act }), more).await;
    let order = app.order().await;
    app.drain().await;
    let notification = &app.notifications(order).await[0];
    assert_eq!(notification["state"], "sent", "{act}");
    assert_eq!(notification["attempts"], 1);
    let mut lines = journal(notification);
    lines.sort();
    assert_eq!(lines, [format!("fault admit {code} - -"), "send body delivered 250 -".to_owned()]);
    app.end().await;
}

async fn a_policy_that_fails_to_admit_is_replaced() {
    admits_all_the_same("trap", "trap", &[]).await;
    admits_all_the_same("loop", "deadline", &[MUCH_FUEL]).await;
    admits_all_the_same("unknown_relay", "bad_output", &[]).await;
    let more = [MUCH_FUEL, ("PLUGINS__CALL__MEMORY_BYTES_MAX", "268435456"), ("PLUGINS__CALL__TIME_MS_MAX", "20000")];
    admits_all_the_same("huge_output", "output_too_large", &more).await;
}

async fn a_policy_that_fails_on_a_failure_is_replaced() {
    for (act, code) in [("trap", "trap"), ("panic", "trap"), ("unknown_relay", "bad_output")] {
        let app = with(json!({ "on_failure": act }), &[]).await;
        app.fail(Phase::Rcpt, reply("450 4.2.1 later"), 1);
        let order = app.order().await;
        app.drain().await;
        let notification = &app.notifications(order).await[0];
        assert_eq!(
            journal(notification),
            ["send rcpt deferred 450 retry".to_owned(), format!("fault on-failure {code} - -")],
        );
        // The host's own rule: 30 s, give or take the jitter.
        app.clock.advance(36_001);
        app.drain().await;
        assert_eq!(app.notifications(order).await[0]["state"], "sent");
        app.end().await;
    }
}

async fn invalid_delays_are_clamped() {
    let app = with(json!({ "admit": "delay", "delay_ms": 0 }), &[]).await;
    let order = app.order().await;
    app.drain().await;
    app.clock.advance(1_001);
    app.drain().await;
    let notification = app.notifications(order).await[0].clone();
    // Waits in a row are one counted line and charge nothing.
    assert_eq!(journal(&notification), ["decision - - - wait"]);
    assert_eq!((&notification["journal"][0]["repeats"], &notification["attempts"]), (&json!(2), &json!(0)));
    assert_eq!(notification["journal"][0]["delay_ms"], 1_000);
    app.end().await;

    let app = with(json!({ "on_failure": "delay", "delay_ms": u64::MAX }), &[]).await;
    app.fail(Phase::Rcpt, reply("450 4.2.1 later"), 1);
    let order = app.order().await;
    app.drain().await;
    // A day, the longest pause, less the jitter.
    let delay = app.notifications(order).await[0]["journal"][0]["delay_ms"].as_i64().unwrap();
    assert!((69_120_000..=86_400_000).contains(&delay), "{delay}");
    app.end().await;
}

async fn skipped_and_held_mails_leave_the_queue() {
    for (act, state) in [("skip", "skipped"), ("hold", "held")] {
        let app = with(json!({ "admit": act }), &[]).await;
        let order = app.order().await;
        app.change(order, "shipped").await;
        app.drain().await;
        assert_eq!(app.states().await, [state, state]);
        assert_eq!(app.queued().await, 0);
        assert!(app.mailbox.messages().is_empty());
        app.end().await;
    }
}

async fn chatter_is_cut_and_harms_nobody() {
    let app = with(json!({ "render": "chatter" }), &[]).await;
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.subjects(), [format!("Order {order}")]);
    app.end().await;
}

async fn a_sleep_takes_no_time() {
    let app = with(json!({ "render": "sleep" }), &[]).await;
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.subjects(), [format!("Order {order}")]);
    assert_eq!(journal(&app.notifications(order).await[0]), ["send body delivered 250 -"]);
    app.end().await;
}

/// Each call is within its time; all together, on a machine of few processors, are not.
async fn time_in_which_others_run_is_not_charged() {
    let app = with(json!({ "render": "dawdle" }), &[MUCH_FUEL, ("PLUGINS__CALL__TIME_MS_MAX", "900")]).await;
    let mut orders = Vec::new();
    for _ in 0..16 {
        orders.push(app.order().await);
    }
    app.drain().await;
    for order in orders {
        assert_eq!(journal(&app.notifications(order).await[0]), ["send body delivered 250 -"], "order {order}");
    }
    app.end().await;
}

async fn a_looping_renderer_does_not_stop_the_api() {
    // Long enough that a slow machine answers twenty requests before the last guest is cut off.
    let app = with(json!({ "render": "loop" }), &[MUCH_FUEL, ("PLUGINS__CALL__TIME_MS_MAX", "2000")]).await;
    for _ in 0..8 {
        app.order().await;
    }
    // As many looping guests as there are calls, on two runtime threads: requests are served between their ticks.
    let delivering = app.drain();
    let asking = async {
        let mut answers = 0;
        for _ in 0..20 {
            app.client.ok("GET", &format!("/v1/products/{}", app.product), "", None).await;
            answers += 1;
        }
        (answers, app.mailbox.messages().len())
    };
    let ((), (answers, mails)) = tokio::join!(delivering, asking);
    assert_eq!(answers, 20);
    assert!(mails < 8, "the API answered while guests were looping");
    assert_eq!(app.mailbox.messages().len(), 8);
    app.end().await;
}

/// Renderers have taken all the calls of their slot: what the policy ends without them is ended meanwhile.
async fn a_looping_renderer_keeps_no_policy_waiting() {
    let database = sqlite().await;
    let of = |name: &str, config: Value| {
        let path = database.folder.path().join(name);
        std::fs::write(&path, config.to_string()).unwrap();
        path.display().to_string()
    };
    let renderer = of("renderer.json", json!({ "render": "loop", "spare_order": "4242424242" }));
    let policy = of("policy.json", json!({ "skip_superseded": true }));
    let settings = [
        ("PLUGINS__RENDERER__PATH", env!("MISBEHAVING_WASM")),
        ("PLUGINS__RENDERER__CONFIG_PATH", renderer.as_str()),
        ("PLUGINS__POLICY__CONFIG_PATH", policy.as_str()),
        MUCH_FUEL,
        ("PLUGINS__CALL__TIME_MS_MAX", "2000"),
    ];
    let app = App::with(database, &settings).await;
    for _ in 0..8 {
        app.order().await;
    }
    let superseded = app.order().await;
    app.change(superseded, "shipped").await;
    let deciding = async {
        let skipped = "select count(*) from notification_states where state = 'skipped'";
        eventually("the decision", async || app.database.number(skipped).await == 1).await;
        app.mailbox.messages().len()
    };
    let ((), mails) = tokio::join!(app.drain(), deciding);
    assert!(mails < 8, "the policy decided while guests were looping");
    assert_eq!(app.mailbox.messages().len(), 9);
    app.end().await;
}
