//! Previews, replays and shadows say which fields of an answer differ, and how.

use ecomm::mail::mailbox::{Act, Phase};
use serde_json::{Value, json};

use crate::app::{App, eventually};
use crate::database::Database;
use crate::harness::tests;
use crate::stages::{orders, slot, stage};

tests! {
    on_each_database {
        a_renderer_is_compared_field_by_field
        a_policy_is_also_compared_by_what_it_makes_of_failures
    }
}

/// The diff of a field.
fn of<'a>(differences: &'a Value, field: &str) -> &'a str {
    let found = differences.as_array().unwrap().iter().find(|d| d["field"] == field);
    found.unwrap_or_else(|| panic!("{field} does not differ: {differences}"))["diff"].as_str().unwrap()
}

async fn a_renderer_is_compared_field_by_field(database: Database) {
    let app = App::start(database).await;
    let config = json!({ "colors": { "accent": "#123456" } });
    let new = json!({ "slot": "renderer", "config": config });
    let candidate = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    let order = orders(&app, 2).await[0];
    let notification = app.notifications(order).await[0]["id"].clone();

    let path = format!("/v1/plugins/revisions/{candidate}");
    let preview = json!({ "notification": notification });
    let preview = app.client.ok("POST", &format!("{path}/preview"), &app.admin, Some(preview)).await;
    let differences = &preview["differences"];
    assert_eq!(differences.as_array().unwrap().len(), 1, "the text is the same: {differences}");
    let html = of(differences, "html");
    assert!(html.lines().any(|line| line.starts_with('+') && line.contains("border-top:4px solid #123456")), "{html}");
    assert!(!html.contains("Total"), "only what differs, and what is beside it: {html}");

    let told = app.client.ok("POST", &format!("{path}/replays"), &app.admin, Some(json!({ "last": 100 }))).await;
    assert_eq!((&told["changed_subjects"], &told["changed_bodies"]), (&json!(0), &json!(2)));
    assert_eq!(told["changed_fields"], json!({ "html": 2 }), "{told}");
    assert_eq!(of(&told["examples"][1]["differences"], "html"), html);

    stage(&app, candidate, json!({ "stage": "shadow" })).await;
    let seen = orders(&app, 1).await[0];
    eventually("the shadow saw it", async || slot(&app).await["shadow"]["counts"]["diverged"] == 1).await;
    let divergence = slot(&app).await["shadow"]["last_divergence"].clone();
    assert_eq!(divergence["notification_id"], app.notifications(seen).await[0]["id"]);
    assert_eq!(of(&divergence["differences"], "html"), html);
    app.end().await;
}

async fn a_policy_is_also_compared_by_what_it_makes_of_failures(database: Database) {
    let app = App::start(database).await;
    let new = json!({ "slot": "policy", "config": { "attempts_max": 1 } });
    let policy = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    stage(&app, policy, json!({ "stage": "shadow" })).await;
    app.fail(Phase::Rcpt, Act::Reply("451 4.3.0 local error".to_owned()), 1);
    orders(&app, 1).await;
    app.clock.advance(60_000);
    app.drain().await;
    assert_eq!(app.states().await, ["sent"]);
    // As a shadow: two admissions alike, and a verdict that is not.
    let counts = async || {
        let slots = app.client.ok("GET", "/v1/plugins", &app.admin, None).await;
        let counts = &slots[1]["shadow"]["counts"];
        ["shadowed", "shadow_skipped", "diverged", "running"].map(|key| counts[key].as_u64().unwrap())
    };
    eventually("the shadow was shown all", async || {
        let [shadowed, skipped, _, running] = counts().await;
        shadowed + skipped == 3 && running == 0
    })
    .await;
    let path = format!("/v1/plugins/revisions/{policy}/replays");
    let told = app.client.ok("POST", &path, &app.admin, Some(json!({ "last": 100 }))).await;
    assert_eq!(["events", "changed_decisions", "faults"].map(|key| told[key].as_u64().unwrap()), [2, 1, 0], "{told}");
    assert_eq!(told["changed_fields"], json!({ "verdict": 1 }), "{told}");
    let change = &told["examples"][0]["differences"][0];
    assert_eq!(change["field"], "verdict");
    assert!(change["diff"].as_str().unwrap().contains("-retry after 30000 ms\n+give up: "), "{change}");
    app.end().await;
}
