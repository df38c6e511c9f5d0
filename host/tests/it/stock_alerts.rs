//! Mails that customers asked for, and how they get no more of them.

use ecomm::grpc::pb;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::app::{App, PASSWORD, eventually, newest, sqlite, user};
use crate::both_apis::{channel, with};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        who_asked_is_told_once_it_is_back
        a_cancelled_order_brings_it_back
        one_click_stops_them
    }
    once {
        many_are_told_in_batches
        choices_are_shown_and_kept
        what_cannot_be_asked_for_is_refused
        both_apis_take_alerts
    }
}

const PAGES: [(&str, &str); 1] = [("ACCOUNTS__PAGES_URL", "https://shop.example/mails/")];

/// A product that is sold out.
async fn sold_out(app: &App, sku: &str) -> i64 {
    let new = json!({ "sku": sku, "name": "Rare cup", "price": { "amount": 2500, "currency": "EUR" }, "stock": 0,
                      "url": "https://shop.example/rare" });
    app.client.ok("POST", "/v1/products", &app.admin, Some(new)).await["id"].as_i64().unwrap()
}

async fn ask(app: &App, product: i64, token: &str) -> u16 {
    app.client.call("POST", &format!("/v1/products/{product}/stock-alert"), token, None).await.0.as_u16()
}

async fn stock(app: &App, product: i64, pieces: i64) {
    let patch = json!({ "stock": pieces });
    app.client.ok("PATCH", &format!("/v1/products/{product}"), &app.admin, Some(patch)).await;
}

/// Waits until all who are to hear of a product have their notification, and works.
async fn told(app: &App) {
    eventually("who waits for a product is told", async || {
        app.host.service.tell_of_stock(&CancellationToken::new()).await.unwrap();
        app.database.number("select count(*) from restocked_products").await == 0
    })
    .await;
    app.drain().await;
}

/// The value of a header, unfolded.
fn header(mail: &str, name: &str) -> Option<String> {
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ");
    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
}

/// The path of the link in the header, as this host serves it.
fn one_click(mail: &str) -> String {
    let url = header(mail, "List-Unsubscribe").unwrap();
    url.strip_prefix("<https://shop.example/mails").unwrap().strip_suffix('>').unwrap().to_owned()
}

async fn who_asked_is_told_once_it_is_back(database: Database) {
    let app = App::with(database, &PAGES).await;
    let product = sold_out(&app, "RARE").await;
    assert_eq!((ask(&app, product, &app.customer).await, ask(&app, product, &app.customer).await), (204, 204));
    told(&app).await;
    assert!(app.mailbox.messages().is_empty(), "it is not back");
    stock(&app, product, 3).await;
    told(&app).await;
    assert_eq!(app.subjects(), ["Rare cup is back"]);
    let mail = newest(&app);
    assert_eq!(header(&mail, "List-Unsubscribe-Post").as_deref(), Some("List-Unsubscribe=One-Click"));
    assert!(mail.contains(&format!("https://shop.example/mails{}", one_click(&mail))), "it is in the text too: {mail}");
    // Told once: another time has to be asked for.
    stock(&app, product, 0).await;
    stock(&app, product, 5).await;
    told(&app).await;
    assert_eq!(app.mailbox.messages().len(), 1);
    assert_eq!(app.database.number("select count(*) from stock_alerts").await, 0);
    // What is about an order carries no such header: it cannot be refused.
    app.order().await;
    app.drain().await;
    assert_eq!(header(&newest(&app), "List-Unsubscribe"), None);
    app.end().await;
}

async fn a_cancelled_order_brings_it_back(database: Database) {
    let app = App::with(database, &PAGES).await;
    let product = sold_out(&app, "RARE").await;
    stock(&app, product, 1).await;
    let new = json!({ "items": [{ "product_id": product, "quantity": 1 }] });
    let order = app.client.ok("POST", "/v1/orders", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    assert_eq!(ask(&app, product, &app.customer).await, 204);
    app.change(order, "cancelled").await;
    told(&app).await;
    assert_eq!(app.subjects().iter().filter(|subject| *subject == "Rare cup is back").count(), 1);
    // Sold out again before everybody was told: they wait on.
    stock(&app, product, 0).await;
    assert_eq!(ask(&app, product, &app.customer).await, 204);
    app.database.execute(&format!("insert into restocked_products (product_id) values ({product})")).await;
    told(&app).await;
    assert_eq!(app.database.number("select count(*) from stock_alerts").await, 1);
    app.end().await;
}

async fn one_click_stops_them(database: Database) {
    let app = App::with(database, &PAGES).await;
    let (first, second) = (sold_out(&app, "ONE").await, sold_out(&app, "TWO").await);
    for product in [first, second] {
        assert_eq!(ask(&app, product, &app.customer).await, 204);
    }
    stock(&app, first, 1).await;
    told(&app).await;
    let path = one_click(&newest(&app));
    // As mail programs send it: no cookie, no log-in, and again when they are not sure.
    for _ in 0..2 {
        let post = app.client.http.post(format!("{}{path}", app.client.base));
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(post.body("List-Unsubscribe=One-Click").send().await.unwrap().status().as_u16(), 200);
    }
    let entries = app.client.ok("GET", "/v1/suppressions?address=ada@example.com", &app.admin, None).await;
    let entries = entries["items"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    let seen = ["cause", "category", "source"].map(|name| entries[0][name].as_str().unwrap());
    assert_eq!(seen, ["unsubscribed", "requested", "the customer, by a link"]);
    stock(&app, second, 1).await;
    told(&app).await;
    assert_eq!(app.mailbox.messages().len(), 1);
    // Mails about orders still come, and follow to another address as the wish does.
    app.order().await;
    app.drain().await;
    assert_eq!(app.mailbox.messages().len(), 2);
    let moved = json!({ "email": "countess@example.com", "current_password": PASSWORD });
    app.client.ok("PATCH", "/v1/users/2", &app.customer, Some(moved)).await;
    let entries = app.client.ok("GET", "/v1/suppressions?address=countess@example.com", &app.admin, None).await;
    assert_eq!(entries["items"][0]["cause"], "unsubscribed", "{entries}");
    // Who asks anew wants them again.
    stock(&app, second, 0).await;
    let customer = app.client.log_in("countess@example.com").await;
    assert_eq!(ask(&app, second, &customer).await, 204);
    stock(&app, second, 1).await;
    told(&app).await;
    assert_eq!(app.subjects().last().unwrap(), "Rare cup is back");
    app.end().await;
}

async fn many_are_told_in_batches() {
    let app = App::with(sqlite().await, &PAGES).await;
    let product = sold_out(&app, "RARE").await;
    // More than two batches of users; their passwords do not matter.
    let many = "with recursive n(i) as (select 100 union all select i + 1 from n where i < 520)";
    app.database
        .execute(&format!(
            "insert into users (id, email, password_hash, name, locale, time_zone, attributes, version, created_at, \
             updated_at) {many} select i, 'user' || i || '@example.com', 'x', 'User', 'en', 'UTC', '{{}}', 1, 1, 1 from n"
        ))
        .await;
    let asked =
        format!("insert into stock_alerts (product_id, user_id, created_at) {many} select {product}, i, 1 from n");
    app.database.execute(&asked).await;
    // One that cannot be read keeps no other waiting.
    app.database.execute("update users set attributes = 'broken' where id = 300").await;
    stock(&app, product, 1).await;
    told(&app).await;
    assert_eq!(app.mailbox.messages().len(), 420);
    let to: std::collections::BTreeSet<String> = app.mailbox.messages().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to.len(), 420, "each once");
    app.end().await;
}

async fn choices_are_shown_and_kept() {
    let app = App::with(sqlite().await, &PAGES).await;
    let product = sold_out(&app, "RARE").await;
    ask(&app, product, &app.customer).await;
    stock(&app, product, 1).await;
    told(&app).await;
    let path = one_click(&newest(&app));
    let choices = path.replacen("/u/", "/p/", 1);
    let get = async |path: &str| {
        let answer = app.client.http.get(format!("{}{path}", app.client.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let choose = async |body: &'static str| {
        let post = app.client.http.post(format!("{}{choices}", app.client.base));
        let post = post.header("content-type", "application/x-www-form-urlencoded").body(body);
        post.send().await.unwrap().text().await.unwrap()
    };
    let checked = |body: &str| body.matches(" checked").count();
    // Opening a link does nothing.
    let (status, body) = get(&path).await;
    assert!(status == 200 && body.contains("<button>Unsubscribe</button>"), "{body}");
    assert_eq!(app.database.number("select count(*) from mail_suppressions").await, 0);
    let (status, body) = get(&choices).await;
    assert_eq!((status, checked(&body)), (200, 2), "{body}");
    assert_eq!(checked(&choose("marketing=1").await), 1);
    assert_eq!(app.database.texts("select category from mail_suppressions").await, ["requested"]);
    assert_eq!(checked(&choose("requested=1&transactional=1&all=1").await), 1);
    assert_eq!(app.database.texts("select category from mail_suppressions").await, ["marketing"]);
    assert_eq!(checked(&choose("requested=1&marketing=1").await), 2);
    assert_eq!(app.database.number("select count(*) from mail_suppressions").await, 0);
    // Who reads an address that its owner has left stops mails, and chooses none.
    let moved = json!({ "email": "countess@example.com", "current_password": PASSWORD });
    app.client.ok("PATCH", "/v1/users/2", &app.customer, Some(moved)).await;
    assert_eq!((get(&path).await.0, get(&choices).await.0), (200, 410));
    choose("requested=1&marketing=1").await;
    let post = app.client.http.post(format!("{}{path}", app.client.base)).body("List-Unsubscribe=One-Click");
    let post = post.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(post.send().await.unwrap().status().as_u16(), 200);
    choose("requested=1&marketing=1").await;
    assert_eq!(app.database.texts("select category from mail_suppressions").await, ["requested"]);
    // What waits meanwhile is sent with a link for the new one.
    app.database.execute("delete from mail_suppressions").await;
    stock(&app, product, 0).await;
    let customer = app.client.log_in("countess@example.com").await;
    ask(&app, product, &customer).await;
    stock(&app, product, 1).await;
    app.host.service.tell_of_stock(&CancellationToken::new()).await.unwrap();
    let back = json!({ "email": "ada@example.com", "current_password": PASSWORD });
    app.client.ok("PATCH", "/v1/users/2", &customer, Some(back)).await;
    app.drain().await;
    assert_eq!(get(&one_click(&newest(&app)).replacen("/u/", "/p/", 1)).await.0, 200);
    // A link of another purpose, of somebody who has left, or made up, does nothing.
    for bad in ["/u/x", "/p/x", "/u/%20", &format!("{path}A")] {
        let (status, body) = get(bad).await;
        assert_eq!(status, 410, "{bad}: {body}");
    }
    let account = path.replacen("/u/", "/a/", 1);
    assert_eq!(get(&account).await.0, 410);
    app.client.call("DELETE", "/v1/users/2", &app.admin, None).await;
    assert_eq!((get(&path).await.0, get(&choices).await.0), (410, 410));
    app.end().await;
}

async fn what_cannot_be_asked_for_is_refused() {
    let app = App::start(sqlite().await).await;
    assert_eq!(ask(&app, app.product, &app.customer).await, 409, "it is in stock");
    assert_eq!(ask(&app, 999, &app.customer).await, 404);
    assert_eq!(ask(&app, app.product, "").await, 401);
    let product = sold_out(&app, "RARE").await;
    assert_eq!(ask(&app, product, &app.customer).await, 204);
    let path = format!("/v1/products/{product}/stock-alert");
    for _ in 0..2 {
        assert_eq!(app.client.call("DELETE", &path, &app.customer, None).await.0.as_u16(), 204);
    }
    assert_eq!(app.database.number("select count(*) from stock_alerts").await, 0);
    app.client.call("DELETE", &format!("/v1/products/{product}"), &app.admin, None).await;
    assert_eq!(ask(&app, product, &app.customer).await, 404, "it is not sold any more");
    // Who leaves waits for nothing.
    let other = sold_out(&app, "OTHER").await;
    app.host.service.sign_up(user("bob@example.com", "Bob")).await.unwrap();
    let bob = app.client.log_in("bob@example.com").await;
    assert_eq!(ask(&app, other, &bob).await, 204);
    app.client.call("DELETE", "/v1/users/3", &bob, None).await;
    assert_eq!(app.database.number("select count(*) from stock_alerts").await, 0);
    app.end().await;
}

async fn both_apis_take_alerts() {
    let app = App::start(sqlite().await).await;
    let product_id = sold_out(&app, "RARE").await;
    let mut products = pb::product_service_client::ProductServiceClient::new(channel(&app).await);
    products.create_stock_alert(with(&app.customer, pb::CreateStockAlertRequest { product_id })).await.unwrap();
    assert_eq!(app.database.number("select count(*) from stock_alerts").await, 1);
    products.delete_stock_alert(with(&app.customer, pb::DeleteStockAlertRequest { product_id })).await.unwrap();
    assert_eq!(app.database.number("select count(*) from stock_alerts").await, 0);
    let in_stock = pb::CreateStockAlertRequest { product_id: app.product };
    let refused = products.create_stock_alert(with(&app.customer, in_stock)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused:?}");
    app.end().await;
}
