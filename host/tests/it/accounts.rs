//! What users are told of their accounts, and what the links in these mails do.

use ecomm::grpc::pb;
use ecomm::mail::mailbox::Phase;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, eventually, newest, reply, sqlite, text};
use crate::both_apis::{channel, with};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_new_address_is_verified_by_a_link
        another_address_waits_until_it_is_verified
        a_password_is_reset_once_by_a_link
        an_address_of_nobody_gets_the_same_answer
        who_leaves_gets_a_last_mail_and_is_forgotten
    }
    once {
        links_that_were_tampered_with_do_nothing
        a_link_is_not_stored_and_not_shown
        mails_with_links_are_seldom
        pages_do_it_without_a_script
        both_apis_do_it
        an_account_mail_in_trouble_keeps_its_lane
    }
}

const HOUR_MS: u32 = 3_600_000;
const NEW_PASSWORD: &str = "another horse battery";
pub const SETTINGS: [(&str, &str); 3] = [
    ("ACCOUNTS__VERIFY_EMAILS", "true"),
    ("ACCOUNTS__NOTICES", "true"),
    ("ACCOUNTS__PAGES_URL", "https://shop.example/mails"),
];

/// A host that sends mails about accounts; the customer's first has arrived.
pub async fn start(database: Database) -> App {
    let app = App::with(database, &SETTINGS).await;
    app.drain().await;
    assert_eq!(app.subjects(), ["Please confirm your email address at My Shop"]);
    app
}

/// The token of the link in the newest mail.
fn token(app: &App) -> String {
    token_of(&newest(app))
}

async fn me(app: &App) -> Value {
    app.client.ok("GET", "/v1/users/2", &app.admin, None).await
}

async fn status(app: &App, path: &str, body: Value) -> u16 {
    app.client.call("POST", path, "", Some(body)).await.0.as_u16()
}

async fn verify(app: &App, token: &str) -> u16 {
    status(app, "/v1/email-verifications", json!({ "token": token })).await
}

async fn forget(app: &App, email: &str) {
    assert_eq!(status(app, "/v1/password-resets", json!({ "email": email })).await, 202);
    answered(app).await;
    app.drain().await;
}

/// Waits until requests are answered, by this test or by the host's own look.
async fn answered(app: &App) {
    eventually("requests for other passwords are answered", async || {
        app.host.service.answer_reset_requests().await.unwrap();
        app.database.number("select count(*) from password_reset_requests").await == 0
    })
    .await;
}

async fn reset(app: &App, token: &str) -> u16 {
    status(app, "/v1/password-resets/complete", json!({ "token": token, "password": NEW_PASSWORD })).await
}

async fn log_in(app: &App, email: &str, password: &str) -> u16 {
    status(app, "/v1/sessions", json!({ "email": email, "password": password })).await
}

async fn log_in_with(app: &App, password: &str) -> String {
    let body = json!({ "email": "ada@example.com", "password": password });
    app.client.ok("POST", "/v1/sessions", "", Some(body)).await["access_token"].as_str().unwrap().to_owned()
}

async fn kinds(app: &App) -> Vec<String> {
    app.database.texts("select kind from notification_states order by id").await
}

async fn a_new_address_is_verified_by_a_link(database: Database) {
    let app = start(database).await;
    assert_eq!(me(&app).await["email_verified_at"], Value::Null);
    let token = token(&app);
    assert_eq!(verify(&app, &token).await, 204);
    let user = me(&app).await;
    assert!(user["email_verified_at"].is_string(), "{user}");
    // Followed again, it says so again and does nothing more.
    assert_eq!(verify(&app, &token).await, 204);
    assert_eq!(me(&app).await["version"], user["version"]);
    let path = format!("/v1/users/{}/email-verification", user["id"]);
    assert_eq!(app.client.call("POST", &path, &app.customer, None).await.0.as_u16(), 409);
    // It is about a user, and found as theirs.
    let of = app.client.ok("GET", &format!("/v1/notifications?user_id={}", user["id"]), &app.admin, None).await;
    let record = &of["items"][0];
    assert_eq!((&record["order_id"], &record["user_id"]), (&Value::Null, &user["id"]), "{record}");
    assert_eq!(record["kind"], "account.verify-email");
    app.end().await;
}

async fn another_address_waits_until_it_is_verified(database: Database) {
    let app = start(database).await;
    let first = token(&app);
    let order = app.order().await;
    let own = format!("/v1/users/{}", app.customer_id().await);
    let change = async |email: &str| {
        let patch = json!({ "email": email, "current_password": PASSWORD });
        app.client.call("PATCH", &own, &app.customer, Some(patch)).await
    };
    assert_eq!(change("admin@shop.example").await.0.as_u16(), 409, "somebody has it");
    let (_, user) = change("countess@example.com").await;
    assert_eq!((&user["email"], &user["pending_email"]), (&json!("ada@example.com"), &json!("countess@example.com")));
    app.drain().await;
    let mails = app.mailbox.messages();
    assert_eq!(mails.len(), 3);
    let asked = mails.iter().find(|mail| mail.to == "countess@example.com").unwrap();
    let second = token_of(&text(asked));
    // The first link is about the address of before, which is in use: it takes nothing away.
    assert_eq!(verify(&app, &first).await, 204);
    assert_eq!(me(&app).await["pending_email"], "countess@example.com");
    app.change(order, "shipped").await;
    assert_eq!(verify(&app, &second).await, 204);
    let user = me(&app).await;
    assert_eq!((&user["email"], &user["pending_email"]), (&json!("countess@example.com"), &Value::Null));
    app.drain().await;
    let mails = app.mailbox.messages();
    let mut last: Vec<_> = mails[3..].iter().map(|mail| (mail.to.as_str(), mail.subject.as_str())).collect();
    last.sort_unstable();
    assert_eq!(
        last,
        [
            ("ada@example.com", "Your email address at My Shop was changed"),
            ("countess@example.com", "Order 1 is on its way"),
        ],
        "what was queued goes to the new address, and the old one is told"
    );
    assert_eq!(log_in(&app, "ada@example.com", PASSWORD).await, 401);
    assert_eq!(log_in(&app, "countess@example.com", PASSWORD).await, 201);
    assert_eq!(verify(&app, &first).await, 404, "nobody has that address any more");
    app.end().await;
}

/// The token of the link in a mail.
fn token_of(mail: &str) -> String {
    let mail = mail.replace("=\r\n", "");
    let (_, rest) = mail.split_once("https://shop.example/mails/a/").unwrap();
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

async fn a_password_is_reset_once_by_a_link(database: Database) {
    let app = start(database).await;
    forget(&app, "ada@example.com").await;
    let (first, sessions) = (token(&app), "select count(*) from sessions where revoked_at is null and user_id = 2");
    forget(&app, "ada@example.com").await;
    let second = token(&app);
    assert_eq!(app.database.number(sessions).await, 1);
    assert_eq!(reset(&app, &second).await, 204);
    assert_eq!(app.database.number(sessions).await, 0, "whoever was logged in is so no more");
    assert_eq!(log_in(&app, "ada@example.com", PASSWORD).await, 401);
    assert_eq!(log_in(&app, "ada@example.com", NEW_PASSWORD).await, 201);
    // Neither that link works again, nor one that was sent before.
    assert_eq!((reset(&app, &second).await, reset(&app, &first).await), (404, 404));
    app.drain().await;
    assert_eq!(app.subjects().last().unwrap(), "Your password at My Shop was changed");
    // Whoever knew the old password may have asked for another address: that is over as well.
    let user = log_in_with(&app, NEW_PASSWORD).await;
    let moves = json!({ "email": "eve@example.com", "current_password": NEW_PASSWORD });
    app.client.ok("PATCH", "/v1/users/2", &user, Some(moves)).await;
    app.drain().await;
    let moving = token(&app);
    forget(&app, "ada@example.com").await;
    let before = token(&app);
    assert_eq!(reset(&app, &before).await, 204);
    assert_eq!(me(&app).await["pending_email"], Value::Null);
    assert_eq!(verify(&app, &moving).await, 404);
    // And a link that went to an address works no more when the account has another.
    forget(&app, "ada@example.com").await;
    let old = token(&app);
    app.client.ok("PATCH", "/v1/users/2", &app.admin, Some(json!({ "email": "countess@example.com" }))).await;
    assert_eq!(reset(&app, &old).await, 404);
    app.client.ok("PATCH", "/v1/users/2", &app.admin, Some(json!({ "email": "ada@example.com" }))).await;
    app.drain().await;
    // Its time is over after an hour.
    forget(&app, "ada@example.com").await;
    let third = token(&app);
    app.clock.advance(HOUR_MS);
    assert_eq!(reset(&app, &third).await, 404);
    app.end().await;
}

async fn an_address_of_nobody_gets_the_same_answer(database: Database) {
    let app = start(database).await;
    let before = kinds(&app).await.len();
    let ask = async |email: &str| {
        app.client.with(("POST", "/v1/password-resets"), "", &[], Some(json!({ "email": email }))).await
    };
    let (here, there) = (ask("ada@example.com").await, ask("nobody@example.com").await);
    assert_eq!((here.0, &here.2), (there.0, &there.2));
    answered(&app).await;
    assert_eq!(kinds(&app).await[before..], ["account.reset-password"]);
    app.drain().await;
    assert_eq!(app.mailbox.messages().last().unwrap().to, "ada@example.com");
    app.end().await;
}

async fn who_leaves_gets_a_last_mail_and_is_forgotten(database: Database) {
    let app = start(database).await;
    let id = app.customer_id().await;
    app.order().await;
    app.client.call("DELETE", &format!("/v1/users/{id}"), &app.customer, None).await;
    app.fail(Phase::Rcpt, reply("450 4.2.1 <ada@example.com> later"), 1);
    app.drain().await;
    app.host.service.forget_what_is_old(crate::retention::RETENTION).await.unwrap();
    let known = "select count(*) from notification_payloads where payload like '%ada@example.com%'";
    assert_eq!(app.database.number(known).await, 1, "the mail has not arrived yet");
    app.clock.advance(HOUR_MS);
    app.drain().await;
    let last = app.mailbox.messages().pop().unwrap();
    assert_eq!((last.to.as_str(), last.subject.as_str()), ("ada@example.com", "Your account at My Shop is closed"));
    assert_eq!(app.mailbox.messages().len(), 2, "the order's mail was skipped");
    app.host.service.forget_what_is_old(crate::retention::RETENTION).await.unwrap();
    for (table, column) in
        [("notification_payloads", "payload"), ("notification_attempts", "reply"), ("users", "email")]
    {
        let found = format!("select count(*) from {table} where {column} like '%ada@example.com%'");
        assert_eq!(app.database.number(&found).await, 0, "{table}");
    }
    assert_eq!(app.database.number("select count(*) from farewells").await, 0);
    // That it was sent is still known.
    assert_eq!(kinds(&app).await.last().unwrap(), "account.closed");
    app.end().await;
}

async fn links_that_were_tampered_with_do_nothing() {
    let app = start(sqlite().await).await;
    let right = token(&app);
    forget(&app, "ada@example.com").await;
    let other = token(&app);
    let mut forged = right.clone();
    forged.replace_range(10..11, if &right[10..11] == "A" { "B" } else { "A" });
    for bad in [forged.as_str(), &right[1..], "", "a", &other, &"x".repeat(200), &"x".repeat(10_000)] {
        assert_eq!(verify(&app, bad).await, 404, "{bad}");
    }
    for bad in [forged.as_str(), &right, ""] {
        assert_eq!(reset(&app, bad).await, 404, "{bad}");
    }
    let (status, problem) =
        app.client.call("POST", "/v1/email-verifications", "", Some(json!({ "token": forged }))).await;
    assert_eq!(status.as_u16(), 404);
    assert!(problem["detail"].as_str().unwrap().contains("ask for a new one"), "{problem}");
    assert_eq!(me(&app).await["email_verified_at"], Value::Null);
    assert_eq!((verify(&app, &right).await, reset(&app, &other).await), (204, 204));
    app.end().await;
}

async fn a_link_is_not_stored_and_not_shown() {
    let app = start(sqlite().await).await;
    forget(&app, "ada@example.com").await;
    let token = token(&app);
    let stored = format!("select count(*) from notification_payloads where payload like '%{token}%'");
    assert_eq!(app.database.number(&stored).await, 0);
    let role = json!({ "role": "viewer" });
    app.client.ok("PATCH", &format!("/v1/users/{}", app.customer_id().await), &app.admin, Some(role)).await;
    let viewer = app.client.log_in("ada@example.com").await;
    let id = app.database.number("select max(id) from notification_states where kind = 'account.reset-password'").await;
    let path = format!("/v1/notifications/{id}/reproduction");
    assert_eq!(app.client.call("GET", &path, &viewer, None).await.0.as_u16(), 403);
    // Who may do everything anyway sees that it is the same mail.
    let again = app.client.ok("GET", &path, &app.admin, None).await;
    assert_eq!(again["is_same"], true, "{again}");
    let slots = app.client.ok("GET", "/v1/plugins", &viewer, None).await;
    let renderer = slots.as_array().unwrap().iter().find(|slot| slot["slot"] == "renderer").unwrap();
    let path = format!("/v1/plugins/revisions/{}/preview", renderer["active"]["revision"]);
    let preview = app.client.ok("POST", &path, &viewer, Some(json!({ "notification": id }))).await;
    assert!(!preview.to_string().contains(&token), "{preview}");
    assert!(preview.to_string().contains("https://shop.example/mails/a/"), "{preview}");
    app.end().await;
}

async fn mails_with_links_are_seldom() {
    let app = start(sqlite().await).await;
    let path = format!("/v1/users/{}/email-verification", app.customer_id().await);
    let ask = async || app.client.with(("POST", &path), &app.customer, &[], None).await;
    // The one of the sign-up counts.
    for _ in 0..4 {
        assert_eq!(ask().await.0, 202);
    }
    let (status, headers, problem) = ask().await;
    assert_eq!(status, 429, "{problem}");
    let wait: i64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    let change = json!({ "email": "countess@example.com", "current_password": PASSWORD });
    let user = format!("/v1/users/{}", app.customer_id().await);
    assert_eq!(app.client.call("PATCH", &user, &app.customer, Some(change)).await.0.as_u16(), 429);
    for _ in 0..8 {
        forget(&app, "ada@example.com").await;
    }
    let count = "select count(*) from notification_states where kind = 'account.reset-password'";
    assert_eq!(app.database.number(count).await, 5, "the answer is the same, the mails are few");
    app.clock.advance(HOUR_MS);
    assert_eq!(ask().await.0, 202);
    // Those to an address that is to be theirs count as well.
    for n in 0..5 {
        let moves = json!({ "email": format!("eve{n}@example.com"), "current_password": PASSWORD });
        let expected = if n < 4 { 200 } else { 429 };
        assert_eq!(app.client.call("PATCH", &user, &app.customer, Some(moves)).await.0.as_u16(), expected, "{n}");
    }
    app.end().await;
}

async fn pages_do_it_without_a_script() {
    let app = start(sqlite().await).await;
    let page = async |method: reqwest::Method, token: &str, body: &'static str| {
        let request = app.client.http.request(method, format!("{}/a/{token}", app.client.base));
        let form = [("content-type", "application/x-www-form-urlencoded"), ("accept-language", "de-AT,de;q=0.9")];
        let request = form.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.body(body).send().await.unwrap();
        let headers = response.headers().clone();
        for (name, value) in
            [("referrer-policy", "no-referrer"), ("cache-control", "no-store"), ("x-robots-tag", "noindex")]
        {
            assert_eq!(headers[name], value);
        }
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (get, post) = (reqwest::Method::GET, reqwest::Method::POST);
    let first = token(&app);
    // Opening it does nothing: previews open links.
    let (status, body) = page(get.clone(), &first, "").await;
    assert!(status == 200 && body.contains("ada@example.com") && body.contains("<button>"), "{body}");
    assert_eq!(me(&app).await["email_verified_at"], Value::Null);
    assert_eq!(page(post.clone(), &first, "").await.0, 200);
    assert!(me(&app).await["email_verified_at"].is_string());
    forget(&app, "ada@example.com").await;
    let second = token(&app);
    let (status, body) = page(get.clone(), &second, "").await;
    assert!(status == 200 && body.contains("autocomplete=\"new-password\""), "{body}");
    let (status, body) = page(post.clone(), &second, "password=short").await;
    assert!(status == 422 && body.contains("role=\"alert\""), "{body}");
    assert_eq!(page(post.clone(), &second, "password=another+horse+battery").await.0, 200);
    assert_eq!(log_in(&app, "ada@example.com", NEW_PASSWORD).await, 201);
    let (status, body) = page(get.clone(), &second, "").await;
    assert!(status == 410 && body.contains("Dieser Link gilt nicht mehr"), "{status} {body}");
    for bad in ["x", "%00", "%3Cscript%3E", &"x".repeat(5_000)] {
        let (status, body) = page(post.clone(), bad, "password=another+horse+battery").await;
        assert!(status == 410 && !body.contains("<script"), "{status} {body}");
    }
    app.end().await;
}

async fn both_apis_do_it() {
    let app = start(sqlite().await).await;
    let mut users = pb::user_service_client::UserServiceClient::new(channel(&app).await);
    let first = token(&app);
    users.verify_email(pb::VerifyEmailRequest { token: first.clone() }).await.unwrap();
    let id = app.customer_id().await;
    let user = users.get_user(with(&app.customer, pb::GetUserRequest { id })).await.unwrap().into_inner().user.unwrap();
    assert!(user.email_verified_at.is_some() && user.pending_email.is_empty(), "{user:?}");
    let again = pb::RequestEmailVerificationRequest { id };
    let refused = users.request_email_verification(with(&app.customer, again)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused:?}");
    let email = "ada@example.com".to_owned();
    users.request_password_reset(pb::RequestPasswordResetRequest { email }).await.unwrap();
    answered(&app).await;
    app.drain().await;
    let change = pb::ResetPasswordRequest { token: token(&app), password: NEW_PASSWORD.to_owned() };
    users.reset_password(change.clone()).await.unwrap();
    let refused = users.reset_password(change).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound, "{refused:?}");
    assert_eq!(log_in(&app, "ada@example.com", NEW_PASSWORD).await, 201);
    app.end().await;
}

async fn an_account_mail_in_trouble_keeps_its_lane() {
    let app = start(sqlite().await).await;
    app.fail(Phase::Rcpt, reply("550 5.7.1 no"), 1);
    forget(&app, "ada@example.com").await;
    let id = app.database.number("select max(id) from notification_states").await;
    let failed = app.client.ok("GET", &format!("/v1/notifications/{id}"), &app.admin, None).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    app.client.ok("POST", &format!("/v1/notifications/{id}/retry"), &app.admin, Some(json!({}))).await;
    app.drain().await;
    let link = token(&app);
    assert_eq!(reset(&app, &link).await, 204);
    app.drain().await;
    // A link that runs out while its mail waits is sent to nobody.
    app.fail(Phase::Rcpt, reply("450 4.2.1 later"), 1);
    forget(&app, "ada@example.com").await;
    let before = app.mailbox.messages().len();
    app.clock.advance(2 * HOUR_MS);
    app.drain().await;
    let id = app.database.number("select max(id) from notification_states").await;
    let over = app.client.ok("GET", &format!("/v1/notifications/{id}"), &app.admin, None).await;
    assert_eq!(over["state"], "skipped", "{over}");
    assert_eq!(over["reason"], "its link ran out before the mail could be sent");
    assert_eq!(app.mailbox.messages().len(), before);
    app.end().await;
}
