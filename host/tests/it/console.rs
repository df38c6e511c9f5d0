//! The console as a browser without script sees it: sessions, rights, forms that only its own pages can send, and every page.

use futures_util::StreamExt;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use serde_json::json;

use crate::app::{App, PASSWORD, sqlite};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_mail_is_followed_and_dealt_with
        lists_are_filtered
        all_that_match_are_dealt_with
        hosts_and_acts_are_on_record
    }
    once {
        a_session_is_the_browsers_alone
        forms_come_from_our_own_pages
        rights_are_those_of_the_account
        who_is_slower_is_told
        an_act_ends_though_its_browser_has_gone
        the_overview_goes_on_until_the_host_stops
        the_console_can_be_left_out
        foreign_content_is_kept_apart
    }
}

/// A browser: keeps its cookies, follows nothing by itself.
pub struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: String,
}

pub struct Seen {
    pub status: u16,
    to: String,
    set: Vec<String>,
    policy: String,
    pub text: String,
}

impl Browser {
    fn new(app: &App) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Self { http, base: app.client.base.clone(), cookies: String::new() }
    }

    pub async fn log_in(app: &App, email: &str) -> Self {
        let mut browser = Self::new(app);
        let seen = browser
            .post("/console/login", &[("email", email), ("password", PASSWORD), ("next", "/console/audit")])
            .await;
        assert_eq!((seen.status, seen.to.as_str()), (303, "/console/audit"), "{}", seen.text);
        browser.keep(&seen);
        browser
    }

    fn keep(&mut self, seen: &Seen) {
        let pairs: Vec<&str> = seen.set.iter().filter_map(|cookie| cookie.split(';').next()).collect();
        self.cookies = pairs.join("; ");
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Seen {
        let answer = request.header(COOKIE, &self.cookies).send().await.unwrap();
        let header =
            |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        let set = answer.headers().get_all(SET_COOKIE).iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        let (status, to, policy) =
            (answer.status().as_u16(), header(LOCATION.as_str()), header("content-security-policy"));
        Seen { status, to, set, policy, text: answer.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Seen {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    /// As a browser sends a form of a page of ours.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(format!("{}{path}", self.base)).body(body).header("sec-fetch-site", "same-origin");
        self.send(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    async fn token(&self) -> String {
        let page = self.get("/console/audit").await.text;
        let rest = page.split("name=\"token\" value=\"").nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    /// Sends a form with its token and a reason; the page that it leads to.
    pub async fn act(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let token = self.token().await;
        let fields = [&[("token", token.as_str()), ("why", "a test")], fields].concat();
        let seen = self.post(path, &fields).await;
        if seen.status == 303 { self.get(&seen.to).await } else { seen }
    }
}

async fn a_mail_is_followed_and_dealt_with(database: Database) {
    let app = App::start(database).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let order = app.order().await;
    let id = app.notifications(order).await[0]["id"].as_i64().unwrap();
    let path = format!("/console/notifications/{id}");
    // What nobody sent yet is shown as it would be.
    assert!(admin.get(&path).await.text.contains("would write now"));
    assert!(admin.get(&format!("{path}/mail")).await.text.contains("Cup"));
    assert!(admin.act(&format!("{path}/hold"), &[]).await.text.contains("by user 1: a test"));
    let twice = admin.act(&format!("{path}/hold"), &[]).await;
    assert!(twice.status == 409 && twice.text.contains("only what is queued can be held"), "{}", twice.text);
    assert!(admin.act(&format!("{path}/retry"), &[]).await.text.contains("not sent"));
    app.drain().await;
    let sent = admin.get(&path).await;
    assert!(sent.text.contains("byte for byte") && sent.text.contains("Attempt"), "{}", sent.text);
    assert!(sent.text.len() < 50_000);
    let source = admin.get(&format!("{path}/source")).await.text;
    assert!(source.contains("Message-ID:") || source.contains("Message-Id:"), "{source}");
    assert!(admin.get(&format!("{path}/mail?part=text")).await.text.contains("Cup"));
    assert_eq!(admin.get("/console/notifications/999999").await.status, 404);
    let nothing = admin.act(&format!("{path}/forget"), &[]).await;
    assert_eq!(nothing.status, 404);
    app.end().await;
}

async fn lists_are_filtered(database: Database) {
    let app = App::start(database).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let (first, second) = (app.order().await, app.order().await);
    app.drain().await;
    let third = app.order().await;
    let of = async |order: i64| app.notifications(order).await[0]["id"].as_i64().unwrap();
    let (first, second, third) = (of(first).await, of(second).await, of(third).await);
    admin.act(&format!("/console/notifications/{third}/cancel"), &[]).await;
    let listed = async |query: &str| {
        let page = admin.get(&format!("/console/notifications?{query}")).await.text;
        let links = page.split("href=\"/console/notifications/").skip(1);
        links.filter_map(|rest| rest.split('"').next().unwrap().parse::<i64>().ok()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [first, second, third]);
    assert_eq!(listed("newest_first=on").await, [third, second, first]);
    assert_eq!(listed("state=failed").await, [third]);
    assert_eq!(listed("state=not+sent").await, Vec::<i64>::new());
    assert_eq!(listed("reason=A+TEST").await, [third]);
    assert_eq!(listed("reason=100%25").await, Vec::<i64>::new());
    assert_eq!(listed("relay=mailbox").await, [first, second]);
    assert_eq!(listed("kind=order.placed&newest_first=on").await, [third, second, first]);
    assert_eq!(listed("kind=order.shipped").await, Vec::<i64>::new());
    assert_eq!(admin.get("/console/notifications?state=lost").await.status, 422);
    assert_eq!(admin.get("/console/notifications?order=x").await.status, 422);
    let long = "x".repeat(101);
    for query in ["kind=%00", "relay=a%00b", &format!("reason={long}")] {
        assert_eq!(admin.get(&format!("/console/notifications?{query}")).await.status, 422, "{query}");
        let (status, _) = app.client.call("GET", &format!("/v1/notifications?{query}"), &app.admin, None).await;
        assert_eq!(status.as_u16(), 422, "{query}");
    }
    // The same by the API, page by page.
    let page = app.client.ok("GET", "/v1/notifications?newest_first=true&limit=2", &app.admin, None).await;
    assert_eq!(page["items"][0]["id"], third);
    let next = format!("/v1/notifications?newest_first=true&limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    let page = app.client.ok("GET", &next, &app.admin, None).await;
    assert_eq!((page["items"][0]["id"].clone(), page["next_cursor"].clone()), (json!(first), json!(null)));
    app.end().await;
}

async fn all_that_match_are_dealt_with(database: Database) {
    let app = App::start(database).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    app.order().await;
    app.order().await;
    let list = admin.get("/console/notifications?state=not+sent&kind=order.placed").await.text;
    let link = "/console/notifications/bulk?act=hold&amp;state=not+sent&amp;kind=order.placed";
    assert!(list.contains(link) && !list.contains("act=retry"), "{list}");
    let question = admin.get(&link.replace("&amp;", "&")).await;
    assert!(question.text.contains("2 notifications match") && question.text.contains("order.placed"));
    let filter = r#"{"state":"not sent","kind":"order.placed"}"#;
    let fields = [("act", "hold"), ("filter", filter), ("matches_max", "1")];
    let more = admin.act("/console/notifications/bulk", &fields).await;
    assert!(more.status == 409 && more.text.contains("2 match"), "{}", more.text);
    let page = admin.act("/console/notifications/bulk", &fields[..2]).await;
    assert!(page.text.contains("Operation 1: hold"), "{}", page.text);
    let page = async || admin.get("/console/notifications/operations/1").await.text;
    crate::app::eventually("both are held", async || page().await.contains("succeeded")).await;
    let ended = page().await;
    assert!(ended.contains("2 done, 0 refused of 2 that matched") && !ended.contains("data-running"), "{ended}");
    let listed = admin.get("/console/notifications/operations").await.text;
    assert!(listed.contains("2 of 2") && listed.contains("a test"), "{listed}");
    let audit = admin.get("/console/audit").await.text;
    assert!(audit.contains("hold-matching") && audit.contains("conflict") && audit.contains("order.placed"), "{audit}");
    assert_eq!(admin.get("/console/notifications/bulk?act=retry&state=sent").await.status, 422);
    assert_eq!(admin.get("/console/notifications/bulk?state=failed").await.status, 400);
    assert_eq!(admin.get("/console/notifications/operations/4711").await.status, 404);
    app.end().await;
}

async fn hosts_and_acts_are_on_record(database: Database) {
    let app = App::start(database).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let is_there = async || admin.get("/console").await.text.contains("(this one)");
    crate::app::eventually("a host says that it is there", is_there).await;
    assert!(admin.get("/console").await.text.contains(env!("CARGO_PKG_VERSION")));
    admin.act("/console/queue/pause", &[]).await;
    assert!(admin.get("/console").await.text.contains("The queue is paused"));
    // What is refused is on record as well, unless it is refused for want of rights.
    admin.act("/console/notifications/4711/retry", &[]).await;
    let audit = admin.get("/console/audit").await.text;
    for word in ["pause-queue", "done", "retry-notification", "notification 4711", "not-found", "a test"] {
        assert!(audit.contains(word), "{word}: {audit}");
    }
    let host = app.database.number("select count(*) from hosts").await;
    assert_eq!(host, 1);
    app.end().await;
}

async fn a_session_is_the_browsers_alone() {
    let app = App::with(sqlite().await, &[("AUTH__ACCESS_TOKEN_MS", "60000")]).await;
    let mut browser = Browser::new(&app);
    let nobody = browser.get("/console/notifications?state=failed").await;
    assert_eq!(
        (nobody.status, nobody.to.as_str()),
        (303, "/console/login?next=%2Fconsole%2Fnotifications%3Fstate%3Dfailed")
    );
    let wrong = [("email", "admin@shop.example"), ("password", "something else")];
    let refused = browser.post("/console/login", &wrong).await;
    assert!(refused.status == 401 && refused.set.is_empty() && refused.text.contains("is wrong"), "{}", refused.text);
    let right = |next| [("email", "admin@shop.example"), ("password", PASSWORD), ("next", next)];
    // A link of somebody else's leads to no page of theirs.
    for next in ["https://evil.example/", "//evil.example", "/consolex", "/console//evil.example", ""] {
        let seen = browser.post("/console/login", &right(next)).await;
        assert_eq!((seen.status, seen.to.as_str()), (303, "/console"), "{next}");
    }
    let seen = browser.post("/console/login", &right("/console/plugins")).await;
    assert_eq!(seen.to, "/console/plugins");
    for cookie in &seen.set {
        assert!(cookie.contains("; HttpOnly; SameSite=Strict") && cookie.contains("Path=/console"), "{cookie}");
        assert!(!cookie.contains("Secure"), "{cookie}");
    }
    browser.keep(&seen);
    assert_eq!(browser.get("/console").await.status, 200);
    // It ran out, and is renewed by the way; the cookies that came are those to go on with.
    app.clock.advance(61_000);
    let renewed = browser.get("/console").await;
    assert!(renewed.status == 200 && renewed.set.len() == 2);
    browser.keep(&renewed);
    let again = browser.get("/console").await;
    assert!(again.status == 200 && again.set.is_empty());
    let out = browser.act("/console/logout", &[]).await;
    assert!(out.text.contains("Log in"));
    app.clock.advance(61_000);
    assert_eq!(browser.get("/console").await.status, 303, "the session has ended");
    app.end().await;
    let app = App::with(sqlite().await, &[("CONSOLE__SECURE_COOKIES", "true")]).await;
    let seen = Browser::new(&app).post("/console/login", &right("/console")).await;
    assert!(seen.set.len() == 2 && seen.set.iter().all(|cookie| cookie.ends_with("; Secure")), "{:?}", seen.set);
    app.end().await;
}

async fn forms_come_from_our_own_pages() {
    let app = App::start(sqlite().await).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let token = admin.token().await;
    let body = format!("token={token}&why=forged");
    let path = format!("{}/console/queue/pause", admin.base);
    let form = || admin.http.post(&path).header("content-type", "application/x-www-form-urlencoded").body(body.clone());
    let cross = admin.send(form().header("sec-fetch-site", "cross-site")).await;
    let silent = admin.send(form()).await;
    let other = admin.send(form().header("origin", "http://evil.example")).await;
    // Another log-in's token, and none.
    let second = Browser::log_in(&app, "admin@shop.example").await;
    let borrowed = second.post("/console/queue/pause", &[("token", &token), ("why", "forged")]).await;
    let bare = admin.post("/console/queue/pause", &[("why", "forged")]).await;
    for seen in [cross, silent, other, borrowed, bare] {
        assert!(seen.status == 403 && seen.text.contains("Nothing was done"), "{} {}", seen.status, seen.text);
    }
    let paused = app.client.ok("GET", "/v1/queue", &app.admin, None).await;
    assert_eq!(paused["paused"], json!(null));
    // A browser that does not know Fetch Metadata says its origin.
    let origin = admin.base.clone();
    assert_eq!(admin.send(form().header("origin", origin)).await.status, 303);
    // No act without a reason, and no upload without the token.
    let mute = admin.act("/console/queue/resume", &[("why", " ")]).await;
    assert!(mute.status == 422 && mute.text.contains("say why"), "{}", mute.text);
    let upload = admin.http.post(format!("{}/console/plugins/components", admin.base)).body("x");
    assert_eq!(admin.send(upload.header("sec-fetch-site", "same-origin")).await.status, 403);
    let upload = admin.http.post(format!("{}/console/plugins/components", admin.base)).body("no component");
    let upload = upload.header("sec-fetch-site", "same-origin").header("x-form-token", token);
    let refused = admin.send(upload).await;
    assert!(refused.status == 422 && !refused.text.contains('<'), "{}", refused.text);
    let long = "x".repeat(501);
    assert_eq!(admin.act("/console/queue/pause", &[("why", &long)]).await.status, 422);
    app.end().await;
}

async fn rights_are_those_of_the_account() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    let id = app.notifications(order).await[0]["id"].as_i64().unwrap();
    let customer = [("email", "ada@example.com"), ("password", PASSWORD)];
    let refused = Browser::new(&app).post("/console/login", &customer).await;
    assert!(
        refused.status == 403 && refused.set.is_empty() && refused.text.contains("may not look"),
        "{}",
        refused.text
    );
    let ada = app.client.ok("GET", "/v1/orders", &app.customer, None).await["items"][0]["user_id"].clone();
    for (role, may_act) in [("viewer", false), ("operator", true)] {
        app.client.ok("PATCH", &format!("/v1/users/{ada}"), &app.admin, Some(json!({ "role": role }))).await;
        let browser = Browser::log_in(&app, "ada@example.com").await;
        for path in
            ["", "/notifications", "/plugins", "/audit", "/plugins/revisions/1", &format!("/notifications/{id}")]
        {
            let seen = browser.get(&format!("/console{path}")).await;
            assert_eq!(seen.status, 200, "{role} {path} {}", seen.text);
            assert!(seen.text.len() < 50_000, "{path} has {} bytes", seen.text.len());
        }
        for path in ["/orders", "/products", "/users", "/orders/1", "/products/1", "/users/1"] {
            assert_eq!(browser.get(&format!("/console{path}")).await.status, 403, "{role} {path}");
        }
        let page = browser.get(&format!("/console/notifications/{id}")).await.text;
        assert_eq!(page.contains("/hold\""), may_act, "{role}");
        let held = browser.act(&format!("/console/notifications/{id}/hold"), &[]).await;
        assert_eq!(held.status, if may_act { 200 } else { 403 }, "{role}");
        let shadowed = browser.act("/console/plugins/revisions/999/stage", &[("to", "shadow")]).await;
        assert_eq!(shadowed.status, if may_act { 404 } else { 403 }, "{role}");
        assert_eq!(browser.act("/console/orders/1/status", &[("status", "shipped")]).await.status, 403);
    }
    app.end().await;
}

async fn an_act_ends_though_its_browser_has_gone() {
    use sqlx::{Connection, Executor};
    use tokio::io::AsyncWriteExt;
    let app = App::start(sqlite().await).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let body = format!("token={}&why=gone", admin.token().await);
    let head = format!(
        "POST /console/queue/pause HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\ncookie: {}\r\n\
         content-length: {}\r\n\r\n{body}",
        admin.cookies,
        body.len()
    );
    // Somebody else writes meanwhile: the act has begun and waits, and its browser leaves.
    let mut other = sqlx::SqliteConnection::connect(&app.database.direct).await.unwrap();
    other.execute("begin immediate").await.unwrap();
    let mut browser = tokio::net::TcpStream::connect(app.host.http.unwrap()).await.unwrap();
    browser.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    drop(browser);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    other.execute("rollback").await.unwrap();
    let acts = "select count(*) from console_acts where act = 'pause-queue' and outcome = 'done'";
    crate::app::eventually("the act is on record", async || app.database.number(acts).await == 1).await;
    app.end().await;
}

async fn who_is_slower_is_told() {
    let app = App::start(sqlite().await).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let change = [("name", "Large cup"), ("amount", "2099"), ("stock", "5"), ("version", "1")];
    let path = format!("/console/products/{}", app.product);
    assert!(admin.act(&path, &change).await.text.contains("Large cup"));
    let stale = admin.act(&path, &change).await;
    assert!(stale.status == 412 && stale.text.contains("somebody else was faster"), "{}", stale.text);
    let order = app.order().await;
    let path = format!("/console/orders/{order}/status");
    let shipped = [("status", "shipped"), ("carrier", "Post"), ("number", "42"), ("version", "1")];
    assert!(admin.act(&path, &shipped).await.text.contains("Post 42"));
    assert_eq!(admin.act(&path, &shipped).await.status, 412);
    let wrong =
        admin.act("/console/products", &[("sku", ""), ("name", "x"), ("amount", "x"), ("currency", "EUR")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    let moved = [("to", "activate"), ("version", "999")];
    assert_eq!(admin.act("/console/plugins/revisions/1/stage", &moved).await.status, 412);
    app.end().await;
}

async fn the_overview_goes_on_until_the_host_stops() {
    let app = App::start(sqlite().await).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let request = admin.http.get(format!("{}/console/live", admin.base)).header(COOKIE, &admin.cookies);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut events = answer.bytes_stream();
    let first = events.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"data: ") && String::from_utf8_lossy(&first).contains("under way"));
    // It would go on for minutes.
    let stopping = tokio::time::timeout(std::time::Duration::from_secs(20), app.end());
    stopping.await.unwrap();
}

async fn the_console_can_be_left_out() {
    let app = App::with(sqlite().await, &[("CONSOLE__ENABLED", "false")]).await;
    let browser = Browser::new(&app);
    for path in ["/console", "/console/login", "/console/assets/icon.svg"] {
        assert_eq!(browser.get(path).await.status, 404);
    }
    app.end().await;
}

async fn foreign_content_is_kept_apart() {
    let app = App::start(sqlite().await).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let hostile = "<script>alert(1)</script>";
    let new = json!({ "sku": "X", "name": hostile, "price": { "amount": 1, "currency": "EUR" }, "stock": 9 });
    let product = app.client.ok("POST", "/v1/products", &app.admin, Some(new)).await["id"].clone();
    for path in [format!("/console/products/{product}"), "/console/products".to_owned()] {
        let page = admin.get(&path).await;
        assert!(page.text.contains("&lt;script&gt;") && !page.text.contains(hostile), "{}", page.text);
        assert!(page.policy.contains("script-src 'self'") && page.policy.contains("frame-ancestors 'none'"));
    }
    app.order().await;
    let mail = admin.get("/console/notifications/1/mail").await;
    assert!(mail.policy.contains("sandbox") && mail.policy.starts_with("default-src 'none'"), "{}", mail.policy);
    assert!(!mail.policy.contains("script-src"), "{}", mail.policy);
    app.end().await;
}
