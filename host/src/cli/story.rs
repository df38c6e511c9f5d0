//! What the demo does, as a client would: over REST.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use ecomm::host::Host;
use serde_json::{Value, json};
use tokio::sync::watch;

/// How long to wait for a mail.
const PATIENCE: Duration = Duration::from_mins(2);

/// Name, price in cents, pieces in stock.
const PRODUCTS: [(&str, &str, i64, i64); 8] = [
    ("KETTLE-01", "Copper kettle", 5_490, 12),
    ("CUP-SET-4", "Four stoneware cups", 3_200, 40),
    ("TEA-ASSAM", "Assam, second flush, 250 g", 1_450, 200),
    ("TEA-SENCHA", "Sencha, first harvest, 100 g", 1_890, 80),
    ("STRAINER", "Steel strainer", 990, 150),
    ("TRAY-OAK", "Oak tray", 4_200, 25),
    ("HONEY-ACAC", "Acacia honey, 500 g", 1_150, 60),
    ("TIMER-SAND", "Three-minute sand timer", 790, 90),
];

/// A client of the REST API.
struct Api {
    http: reqwest::Client,
    base: String,
}

impl Api {
    async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method.parse()?, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", answer["detail"].as_str().unwrap_or_default());
        }
        Ok(answer)
    }

    async fn log_in(&self, who: &(String, String)) -> anyhow::Result<String> {
        let body = json!({ "email": who.0, "password": who.1 });
        let session = self.call("POST", "/v1/sessions", None, Some(body)).await?;
        session["access_token"].as_str().map(str::to_owned).context("no token")
    }
}

/// Places an order, ships it, swaps the renderer, delivers it; prints each mail as it arrives.
pub(super) async fn run(
    host: &Host,
    http: SocketAddr,
    admin: &(String, String),
    customer: &(String, String),
) -> anyhow::Result<()> {
    let api = Api { http: reqwest::Client::new(), base: format!("http://{http}") };
    let mut out = std::io::stdout();
    let mut arrived = host.service.mailbox.as_ref().context("no mailbox")?.count();

    let admin = api.log_in(admin).await?;
    let new = json!({
        "email": customer.0, "password": customer.1, "name": "Ada Lovelace", "locale": "en-GB",
        "time_zone": "Europe/London",
    });
    api.call("POST", "/v1/users", None, Some(new)).await?;
    let customer = api.log_in(customer).await?;
    let mut products = Vec::new();
    for (sku, name, amount, stock) in PRODUCTS {
        let new = json!({ "sku": sku, "name": name, "price": { "amount": amount, "currency": "USD" }, "stock": stock });
        match api.call("POST", "/v1/products", Some(&admin), Some(new)).await {
            Ok(product) => products.push(product["id"].clone()),
            // A data folder that was used before has them.
            Err(_) => break,
        }
    }
    if products.len() < PRODUCTS.len() {
        let list = api.call("GET", "/v1/products?limit=8", None, None).await?;
        products = list["items"].as_array().into_iter().flatten().map(|p| p["id"].clone()).collect();
    }

    writeln!(out, "1. Ada places an order.")?;
    let new = json!({
        "items": [{ "product_id": products[0], "quantity": 1 }, { "product_id": products[2], "quantity": 2 }],
        "payment_method": "card",
        "ship_to": { "name": "Ada Lovelace", "lines": ["12 St James's Square"], "city": "London",
                     "postal_code": "SW1Y 4JH", "country": "GB" },
    });
    let order = api.call("POST", "/v1/orders", Some(&customer), Some(new)).await?;
    let id = order["id"].as_i64().context("no id")?;
    show(&api, &admin, id, 1, &mut arrived).await?;

    writeln!(out, "2. The admin ships it.")?;
    let change = json!({ "status": "shipped", "tracking": [
        { "carrier": "Royal Mail", "number": "RM123456785GB", "url": "https://track.example/RM123456785GB" }] });
    api.call("PATCH", &format!("/v1/orders/{id}/status"), Some(&admin), Some(change)).await?;
    show(&api, &admin, id, 2, &mut arrived).await?;

    writeln!(out, "3. The renderer is swapped while the host runs: other colours, another sender, a new subject.")?;
    let config = json!({
        "from_name": "Ada's favourite tea shop",
        "colors": { "accent": "#9d174d" },
        "footer": "You see this line because the renderer was reconfigured live.",
        "messages": { "en": { "order.delivered": { "subject": "Put the kettle on: order { $number } is there" } } },
    });
    let new = json!({ "slot": "renderer", "config": config, "why": "the shop is renamed" });
    let begun = api.call("POST", "/v1/plugins/revisions", Some(&admin), Some(new)).await?;
    let revision = installed(&api, &admin, begun).await?;
    let path = format!("/v1/plugins/revisions/{}/stage", revision["id"]);
    api.call("POST", &path, Some(&admin), Some(json!({ "stage": "active" }))).await?;
    writeln!(
        out,
        "   revision {} passed the gate in {} ms: {} fixtures rendered, {}\n",
        revision["id"],
        revision["report"]["prepared_ms"],
        revision["report"]["trials"].as_array().map_or(0, Vec::len),
        if revision["report"]["snapshotted"] == true { "snapshotted" } else { "not snapshotted" },
    )?;

    writeln!(out, "4. The order is delivered.")?;
    let change = json!({ "status": "delivered" });
    api.call("PATCH", &format!("/v1/orders/{id}/status"), Some(&admin), Some(change)).await?;
    show(&api, &admin, id, 3, &mut arrived).await
}

/// Waits for an install however long it takes on this machine; gives the revision.
async fn installed(api: &Api, admin: &str, mut operation: Value) -> anyhow::Result<Value> {
    while operation["state"] == "running" {
        tokio::time::sleep(Duration::from_millis(50)).await;
        operation = api.call("GET", &format!("/v1/plugins/operations/{}", operation["id"]), Some(admin), None).await?;
    }
    if operation["state"] != "succeeded" {
        bail!("the renderer was not installed: {}", operation["problem"]["detail"]);
    }
    api.call("GET", &format!("/v1/plugins/revisions/{}", operation["revision"]), Some(admin), None).await
}

/// Waits for the mail of an order's version and prints it.
async fn show(
    api: &Api,
    admin: &str,
    order: i64,
    version: i64,
    arrived: &mut watch::Receiver<u64>,
) -> anyhow::Result<()> {
    let path = format!("/v1/orders/{order}/notifications");
    let found = async {
        loop {
            let records = api.call("GET", &path, Some(admin), None).await?;
            let record = records.as_array().into_iter().flatten().find(|r| r["order_version"] == version).cloned();
            let record = record.context("no notification")?;
            if record["state"] == "sent" {
                let mails = api.call("GET", "/v1/mailbox", Some(admin), None).await?;
                let is_it = |m: &&Value| m["message_id"] == record["message_id"];
                let mail = mails.as_array().into_iter().flatten().find(is_it).cloned();
                return anyhow::Ok((record, mail.context("the relay took the mail, but it is not in the mailbox")?));
            }
            // The mail arrives before its end is recorded.
            let _ = tokio::time::timeout(Duration::from_millis(20), arrived.changed()).await;
        }
    };
    let (record, mail) = tokio::time::timeout(PATIENCE, found).await.context("the mail did not arrive")??;
    let at = |v: &Value| {
        v.as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok()).map_or(0, jiff::Timestamp::as_millisecond)
    };
    let entry = &record["journal"][0];
    let short = |v: &Value| v.as_str().map_or_else(|| "the host".to_owned(), |d| d[..12].to_owned());
    let mut out = std::io::stdout();
    writeln!(out, "   \"{}\"", mail["subject"].as_str().unwrap_or_default())?;
    writeln!(
        out,
        "   to {}, {} ms from commit to mailbox",
        mail["to"].as_str().unwrap_or_default(),
        at(&mail["received_at"]) - at(&record["created_at"])
    )?;
    writeln!(
        out,
        "   written by renderer {} (revision {}), sent by decision of policy {} (revision {})\n",
        short(&entry["renderer_digest"]),
        entry["renderer_revision"],
        short(&entry["policy_digest"]),
        entry["policy_revision"],
    )?;
    Ok(())
}
