//! A renderer in Rust: every mail as plain text and as HTML, in English.

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "renderer-plugin", generate_all });
}

use std::sync::OnceLock;

use bindings::ecomm::format::{text, zone};
use bindings::ecomm::notification::types::{
    ConfigError, Email, Manifest, Moment, Money, Notification, Order, OrderStatus, Subject,
};
use bindings::exports::ecomm::notification::{plugin, renderer};

/// What the operator may change.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The first word of a mail.
    greeting: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { greeting: "Hello".to_owned() }
    }
}

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {"greeting": {"description": "The first word of a mail.", "type": "string", "minLength": 1}}
}"#;

/// Set by `configure`, which the snapshot keeps: every mail starts from here.
static CONFIG: OnceLock<Config> = OnceLock::new();

fn money(m: &Money) -> String {
    text::money("en", m.amount, &m.currency, m.exponent)
}

fn date(at: &Moment, time_zone: &str) -> String {
    let zone::Civil { year, month, day, .. } = zone::civil_time(at.unix_ms, time_zone);
    text::date("en", text::Day { year, month, day }, text::Length::Long)
}

fn status(order: &Order) -> &str {
    match &order.status {
        OrderStatus::Pending => "pending",
        OrderStatus::PartlyShipped => "partly shipped",
        OrderStatus::Shipped => "shipped",
        OrderStatus::Delivered => "delivered",
        OrderStatus::Cancelled => "cancelled",
        OrderStatus::Other(name) => name,
    }
}

/// The subject, and the paragraphs between the greeting and the signature.
fn told(n: &Notification) -> (String, Vec<String>) {
    match &n.subject {
        Subject::Order(order) => {
            let placed = format!("Your order {} of {}:", order.number, date(&order.placed_at, &n.customer.time_zone));
            let lines = order.lines.iter().map(|l| format!("{} x {}: {}", l.quantity, l.name, money(&l.total)));
            let total = format!("Total: {}", money(&order.total));
            let told = [placed].into_iter().chain(lines).chain(order.note.clone()).chain([total]);
            (format!("Order {}: {}", order.number, status(order)), told.collect())
        }
        Subject::Account(account) => {
            let link = account.link.as_ref().map(|link| format!("Continue: {}", link.url));
            (format!("Your account at {}", n.shop.name), [account.email.clone()].into_iter().chain(link).collect())
        }
        Subject::Product(product) => {
            let told = format!("{}: {}", product.name, money(&product.price));
            (format!("{} is back in stock", product.name), [told].into_iter().chain(product.url.clone()).collect())
        }
        Subject::Other(_) => (format!("News from {}", n.shop.name), vec![n.kind.clone()]),
    }
}

struct Component;

impl plugin::Guest for Component {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: "Text and HTML, in English.".to_owned(),
            locales: vec!["en".to_owned()],
            config_schema: SCHEMA.to_owned(),
            attributes: Vec::new(),
        }
    }

    fn configure(config: String) -> Result<(), ConfigError> {
        let refused = |message: String| ConfigError { pointer: String::new(), message };
        let config = serde_json::from_str(&config).map_err(|e| refused(e.to_string()))?;
        CONFIG.set(config).map_err(|_| refused("configure was called twice".to_owned()))
    }
}

impl renderer::Guest for Component {
    fn render(n: Notification, _: renderer::Request) -> Result<Email, String> {
        let config = CONFIG.get().ok_or("render was called before configure")?;
        let (subject, mut told) = told(&n);
        told.insert(0, format!("{} {},", config.greeting, n.customer.name));
        let stop = n.unsubscribe_url.as_ref().map(|url| format!("Unsubscribe: {url}"));
        told.extend([n.shop.name.clone()].into_iter().chain(stop));
        let paragraphs: String = told.iter().map(|p| format!("<p>{}</p>\n", text::escape_html(p))).collect();
        let title = text::escape_html(&subject);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body>\n{paragraphs}</body></html>\n"
        );
        Ok(Email {
            subject,
            text: told.join("\n\n") + "\n",
            html: Some(html),
            from_name: None,
            reply_to: None,
            headers: Vec::new(),
            attachments: Vec::new(),
            attributes: Vec::new(),
        })
    }
}

bindings::export!(Component with_types_in bindings);
