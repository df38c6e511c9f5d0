//! The other doors of operators: gRPC, and the command line.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use ecomm::grpc::pb;
use ecomm::mail::mailbox::Phase;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::app::{App, environment, reply, sqlite};
use crate::both_apis::{channel, with};
use crate::harness::tests;

tests! {
    once {
        a_component_goes_by_grpc_too
        a_notification_is_dealt_with_by_each_api
        the_queue_is_paused_by_each_api
        notifications_are_listed_and_shown
        the_command_line_stages_what_the_host_then_serves
        a_watched_folder_serves_what_fits_and_keeps_the_old_when_not
    }
    without_runtime {
        a_component_is_checked_without_a_shop
    }
}

type Plugins = pb::plugin_service_client::PluginServiceClient<tonic::transport::Channel>;

/// A replay by gRPC, followed to its end.
async fn replay(app: &App, plugins: &mut Plugins, id: i64) {
    let replay = pb::ReplayPluginRevisionRequest { id, last: 10 };
    let begun = plugins.replay_plugin_revision(with(&app.admin, replay)).await.unwrap().into_inner().operation.unwrap();
    let watch = pb::WatchPluginOperationRequest { id: begun.id };
    let told: Vec<_> =
        plugins.watch_plugin_operation(with(&app.admin, watch)).await.unwrap().into_inner().collect().await;
    let told = told.last().unwrap().as_ref().unwrap().operation.clone().unwrap();
    assert_eq!(told.state(), pb::PluginOperationState::Succeeded);
    let found = told.replay.unwrap();
    assert_eq!((found.events, found.changed_subjects), (1, 1));
    let list = pb::ListPluginOperationsRequest { page_size: 1, ..Default::default() };
    let listed = plugins.list_plugin_operations(with(&app.admin, list)).await.unwrap().into_inner();
    assert_eq!((listed.operations[0].id, listed.next_page_token.is_empty()), (told.id, false));
    let cancel = pb::CancelPluginOperationRequest { id: told.id };
    let ended = plugins.cancel_plugin_operation(with(&app.admin, cancel)).await.unwrap().into_inner();
    assert_eq!(ended.operation.unwrap().state(), pb::PluginOperationState::Succeeded, "it had ended before");
}

async fn a_component_goes_by_grpc_too() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    app.drain().await;
    let mut plugins = Plugins::new(channel(&app).await);
    let mut watched =
        plugins.watch_plugin_slots(with(&app.admin, pb::WatchPluginSlotsRequest {})).await.unwrap().into_inner();
    let before = watched.next().await.unwrap().unwrap().slots[0].version;

    let wasm = std::fs::read(env!("MISBEHAVING_WASM")).unwrap();
    let parts: Vec<_> =
        wasm.chunks(50_000).map(|part| pb::UploadPluginComponentRequest { content: part.to_vec() }).collect();
    let upload = with(&app.admin, futures_util::stream::iter(parts.clone()));
    let component = plugins.upload_plugin_component(upload).await.unwrap().into_inner();
    assert_eq!(component.bytes, i64::try_from(wasm.len()).unwrap());
    let refused = plugins.upload_plugin_component(with(&app.customer, futures_util::stream::iter(parts))).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let junk = [&b"%PD"[..], b"F-1.7"].map(|part| pb::UploadPluginComponentRequest { content: part.to_vec() });
    let refused = plugins.upload_plugin_component(with(&app.admin, futures_util::stream::iter(junk))).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);

    let slot = pb::PluginSlotName::Renderer.into();
    let new = |config: &str| pb::CreatePluginRevisionRequest {
        slot,
        digest: component.digest.clone(),
        config_json: config.to_owned(),
        why: "a test".to_owned(),
        source: String::new(),
    };
    let refused = plugins.create_plugin_revision(with(&app.admin, new("nonsense"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let made = plugins.create_plugin_revision(with(&app.admin, new("{}"))).await.unwrap().into_inner();
    let wait = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let get = pb::GetPluginOperationRequest { id: made.operation.unwrap().id, wait };
    let made = plugins.get_plugin_operation(with(&app.admin, get)).await.unwrap().into_inner().operation.unwrap();
    assert_eq!((made.state(), made.kind.as_str()), (pb::PluginOperationState::Succeeded, "install"));
    let id = made.revision.unwrap();

    let preview = pb::PreviewPluginRevisionRequest { id, notification_id: 1 };
    let preview = plugins.preview_plugin_revision(with(&app.admin, preview)).await.unwrap().into_inner();
    assert_eq!((preview.is_same, preview.candidate.unwrap().subject.as_str()), (false, "Order 1"));
    replay(&app, &mut plugins, id).await;

    let mut change = pb::MovePluginRevisionRequest {
        id,
        stage: pb::PluginStage::Active.into(),
        etag: "99".to_owned(),
        ..Default::default()
    };
    let stale = plugins.move_plugin_revision(with(&app.admin, change.clone())).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    change.etag = before.to_string();
    let moved = plugins.move_plugin_revision(with(&app.admin, change)).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(moved.active.unwrap().revision, id);
    let seen = watched.next().await.unwrap().unwrap();
    assert_eq!(seen.slots[0].active.as_ref().unwrap().revision, id);

    let made = pb::ReproduceNotificationRequest { id: 1 };
    assert!(plugins.reproduce_notification(with(&app.admin, made)).await.unwrap().into_inner().is_same);
    let back = pb::RollBackPluginRequest { slot, why: "back".to_owned(), ..Default::default() };
    let back = plugins.roll_back_plugin(with(&app.admin, back)).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(back.active.unwrap().revision, 1);
    let list = pb::ListPluginChangesRequest { page_size: 1, ..Default::default() };
    let changes = plugins.list_plugin_changes(with(&app.admin, list)).await.unwrap().into_inner().changes;
    assert_eq!((changes[0].action.as_str(), changes[0].why.as_str()), ("activate", "back"));
    let list = pb::ListPluginRevisionsRequest { slot, ..Default::default() };
    let listed = plugins.list_plugin_revisions(with(&app.admin, list)).await.unwrap().into_inner().revisions;
    assert_eq!(
        listed.iter().map(|r| (r.id, r.stage())).collect::<Vec<_>>(),
        [(id, pb::PluginStage::Retired), (1, pb::PluginStage::Active)]
    );
    let nobody = plugins.get_plugin_revision(Request::new(pb::GetPluginRevisionRequest { id })).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    app.end().await;
}

/// The command line on the database of a running host.
fn ecomm(app: &App, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    command.args(args).envs(environment(&app.database, &[])).env("ECOMM__LOG__FILTER", "off");
    command
}

fn answered(app: &App, args: &[&str]) -> (bool, String) {
    let output = ecomm(app, args).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
}

fn a_component_is_checked_without_a_shop() {
    let folder = tempfile::tempdir().unwrap();
    let check = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ecomm"));
        let output = command.env_clear().current_dir(&folder).args(["plugin", "check"]).args(args).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    let file = env!("MISBEHAVING_WASM");
    let (good, report) = check(&["renderer", file, "--json"]);
    assert!(good, "{report}");
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["contract"], "ecomm:notification@1.0.0");
    let (good, report) = check(&["renderer", file]);
    assert!(good && report.contains("FIXTURE") && report.contains("wasi:cli/stderr"), "{report}");
    let (good, why) = check(&["policy", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    assert!(!good && why.contains("does not begin like one"), "{why}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing is kept");
}

async fn a_notification_is_dealt_with_by_each_api() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    app.fail(Phase::Rcpt, reply("550 5.7.1 no such user"), 2);
    app.drain().await;
    let id = app.notifications(order).await[0]["id"].as_i64().unwrap();
    let (good, said) = answered(&app, &["notification", "retry", &id.to_string(), "--why", "by an operator", "--json"]);
    assert!(good, "{said}");
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["state"], "not sent");
    let (good, why) = answered(&app, &["notification", "retry", &id.to_string()]);
    assert!(!good && why.contains("only what was held, failed or skipped"), "{why}");
    app.drain().await;
    assert_eq!(app.states().await, ["failed"]);

    let mut notifications = pb::notification_service_client::NotificationServiceClient::new(channel(&app).await);
    let retry = pb::RetryNotificationRequest { id, why: "once more".to_owned(), allow_late: false };
    let refused = notifications.retry_notification(with(&app.customer, retry.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let queued = notifications.retry_notification(with(&app.admin, retry)).await.unwrap().into_inner();
    assert_eq!(queued.notification.unwrap().state(), pb::NotificationState::NotSent);
    let cancel = pb::CancelNotificationRequest { id, why: "told by phone".to_owned() };
    let ended = notifications.cancel_notification(with(&app.admin, cancel.clone())).await.unwrap().into_inner();
    assert_eq!(ended.notification.unwrap().state(), pb::NotificationState::Failed);
    let refused = notifications.cancel_notification(with(&app.admin, cancel)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let (good, why) = answered(&app, &["notification", "cancel", &id.to_string()]);
    assert!(!good && why.contains("it is failed"), "{why}");

    let second = app.order().await;
    let id = app.notifications(second).await[0]["id"].as_i64().unwrap();
    let hold = pb::HoldNotificationRequest { id, why: String::new() };
    let kept = notifications.hold_notification(with(&app.admin, hold)).await.unwrap().into_inner();
    assert_eq!(kept.notification.unwrap().state(), pb::NotificationState::Held);
    let (good, why) = answered(&app, &["notification", "hold", &id.to_string()]);
    assert!(!good && why.contains("only what is queued can be held"), "{why}");
    app.end().await;
}

async fn the_queue_is_paused_by_each_api() {
    let app = App::start(sqlite().await).await;
    let (good, said) = answered(&app, &["notification", "pause", "--why", "a new relay"]);
    assert_eq!((good, said.trim()), (true, "nothing waits, 0 under way; paused by command line: a new relay"));
    let mut notifications = pb::notification_service_client::NotificationServiceClient::new(channel(&app).await);
    let refused = notifications.get_queue(with(&app.customer, pb::GetQueueRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    app.order().await;
    let queue = notifications.get_queue(with(&app.admin, pb::GetQueueRequest {})).await.unwrap().into_inner();
    let queue = queue.queue.unwrap();
    assert_eq!((queue.queued, queue.paused.unwrap().why), (1, "a new relay".to_owned()));
    let resumed =
        notifications.resume_queue(with(&app.admin, pb::ResumeQueueRequest::default())).await.unwrap().into_inner();
    assert_eq!(resumed.queue.unwrap().paused, None);
    let pause = pb::PauseQueueRequest { why: "by wire".to_owned(), ..Default::default() };
    let paused = notifications.pause_queue(with(&app.admin, pause)).await.unwrap().into_inner();
    assert!(paused.queue.unwrap().paused.unwrap().since.is_some());
    let (good, said) = answered(&app, &["notification", "queue", "--json"]);
    assert!(good && said.contains("by wire"), "{said}");
    let (good, said) = answered(&app, &["notification", "resume"]);
    assert!(good && said.starts_with("1 wait, the first overdue by"), "{said}");
    app.drain().await;
    assert_eq!(app.states().await, ["sent"]);
    app.end().await;
}

async fn the_command_line_stages_what_the_host_then_serves() {
    let app = App::start(sqlite().await).await;
    let file = env!("MISBEHAVING_WASM");
    let (good, made) = answered(&app, &["plugin", "install", "renderer", file, "--why", "by an operator", "--json"]);
    assert!(good, "{made}");
    let number = serde_json::from_str::<Value>(&made).unwrap()["id"].clone();
    let id = number.to_string();
    let (good, why) = answered(&app, &["plugin", "activate", &id, "--expect", "7"]);
    assert!(!good && why.contains("it is at version 1 now"), "{why}");
    let (good, said) = answered(&app, &["plugin", "activate", &id]);
    assert!(good, "{said}");
    crate::app::eventually("the host follows", async || {
        let slots = app.client.ok("GET", "/v1/plugins", &app.admin, None).await;
        slots[0]["active"]["revision"] == number
    })
    .await;
    let (_, listed) = answered(&app, &["plugin", "ls"]);
    assert!(listed.contains("SLOT") && listed.contains("by an operator"), "{listed}");
    app.end().await;
}

async fn a_watched_folder_serves_what_fits_and_keeps_the_old_when_not() {
    let app = App::start(sqlite().await).await;
    let folder = app.database.folder.path().join("watched");
    std::fs::create_dir(&folder).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        // As editors and compilers do it.
        std::fs::write(folder.join("new"), bytes).unwrap();
        std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
    };
    let mut child = ecomm(&app, &["plugin", "watch", folder.to_str().unwrap()]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("watching"));
    put("renderer.wasm", &std::fs::read(env!("MISBEHAVING_WASM")).unwrap());
    assert!(lines.next().unwrap().ends_with("serves"));
    put("renderer.json", json!({ "colour": 1 }).to_string().as_bytes());
    let said = lines.next().unwrap();
    assert!(said.contains("not taken") && said.contains("colour"), "{said}");
    put("renderer.json", json!({ "delay_ms": 1 }).to_string().as_bytes());
    assert!(lines.next().unwrap().ends_with("serves"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(app.database.number("select version from plugin_slots where slot = 'renderer'").await, 3);
    app.end().await;
}

async fn notifications_are_listed_and_shown() {
    let app = App::start(sqlite().await).await;
    let (first, second) = (app.order().await, app.order().await);
    app.fail(Phase::Rcpt, reply("550 5.7.1 no such user"), 1);
    app.host.queue.run_until_idle().await;
    let failed = app.database.number("select lane from notification_states where state = 'failed'").await;
    assert!([first, second].contains(&failed));
    app.order().await;
    let ids = |said: &str| {
        let listed: Vec<Value> = serde_json::from_str(said).unwrap();
        listed.into_iter().map(|n| n["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    for (args, expected) in [
        (&["--state", "not-sent"][..], vec![3]),
        (&["--order", &second.to_string()], vec![2]),
        (&["--customer", "2"], vec![1, 2, 3]),
        (&["--customer", "1"], vec![]),
        (&["--older-than", "1h"], vec![]),
        (&["--older-than", "0s", "--limit", "2"], vec![1, 2]),
    ] {
        let (good, said) = answered(&app, &[&["notification", "ls", "--json"], args].concat());
        assert!(good, "{said}");
        assert_eq!(ids(&said), expected, "{args:?}");
    }
    let (good, said) = answered(&app, &["notification", "ls", "--state", "failed"]);
    assert!(
        good && said.contains("ATTEMPTS") && said.contains("order.placed") && said.contains("no such user"),
        "{said}"
    );
    let (good, said) = answered(&app, &["notification", "ls", "--state", "lost"]);
    assert!(!good && said.contains("not-sent, sent, failed, skipped, held"), "{said}");
    let (good, said) = answered(&app, &["notification", "show", &failed.to_string()]);
    assert!(good && said.contains("rejected") && said.contains("give-up") && said.contains("no such user"), "{said}");
    // The same filters over both APIs.
    let path = "/v1/notifications?user_id=2&created_before=2020-01-01T00:00:00Z";
    assert_eq!(app.client.ok("GET", path, &app.admin, None).await["items"], json!([]));
    let path = format!("/v1/notifications?order_id={second}");
    assert_eq!(app.client.ok("GET", &path, &app.admin, None).await["items"][0]["order_id"], json!(second));
    let mut notifications = pb::notification_service_client::NotificationServiceClient::new(channel(&app).await);
    let asked = pb::ListNotificationsRequest { user_id: Some(1), ..Default::default() };
    let listed = notifications.list_notifications(with(&app.admin, asked)).await.unwrap().into_inner();
    assert!(listed.notifications.is_empty());
    app.end().await;
}
