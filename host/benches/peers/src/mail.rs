//! What a job does: renders an order's mail, builds the message and sends it over one of a fixed number of connections.

use std::sync::{Arc, Mutex};

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use minijinja::Environment;
use minijinja::value::{Serde, Value};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::Tally;

const SUBJECT: &str = "Your order {{ id }} has been received";

const TEXT: &str = "\
Dear {{ customer.name }},

thank you for your order {{ id }}. We will write again as soon as it has left our house.

{% for line in lines %}  {{ line.quantity }} x {{ line.name }}: {{ (line.quantity * line.price)|money }} EUR
{% endfor %}
  Total: {{ total|money }} EUR

It goes to {{ address.street }}, {{ address.postcode }} {{ address.city }}, {{ address.country }}.
If anything is wrong with it, answer this mail; you may also return it within 30 days.
";

const HTML: &str = "\
<!doctype html>
<html lang=\"en\"><body style=\"font-family: sans-serif\">
<h1>Thank you for your order {{ id }}</h1>
<p>Dear {{ customer.name }}, we will write again as soon as it has left our house.</p>
<table style=\"border-collapse: collapse\">
<tr><th>Quantity</th><th>Article</th><th>Price</th></tr>
{%- for line in lines %}
<tr><td>{{ line.quantity }}</td><td>{{ line.name }}</td><td align=\"right\">{{ (line.quantity * line.price)|money }} EUR</td></tr>
{%- endfor %}
<tr><th></th><th>Total</th><th align=\"right\">{{ total|money }} EUR</th></tr>
</table>
<p>It goes to {{ address.street }}, {{ address.postcode }} {{ address.city }}, {{ address.country }}.</p>
<p>If anything is wrong with it, answer this mail; you may also return it within 30 days.</p>
</body></html>
";

/// A job's payload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    id: i64,
    customer: Customer,
    address: Place,
    lines: Vec<Line>,
    total: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Customer {
    name: String,
    email: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Place {
    street: String,
    postcode: String,
    city: String,
    country: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Line {
    name: String,
    quantity: i64,
    price: i64,
}

impl Order {
    pub(crate) fn numbered(id: i64) -> Self {
        let articles = ["Cup of clay", "Tea towel & hook", "Kettle, 1.7 l", "Oak board", "Paring knife"];
        let lines: Vec<_> = (1..)
            .zip(articles)
            .map(|(n, name)| Line { name: name.to_owned(), quantity: 1 + (id + n) % 3, price: 499 * n + id % 100 })
            .collect();
        Self {
            id,
            customer: Customer { name: format!("Ada Customer {id}"), email: format!("customer{id}@mail.example") },
            address: Place {
                street: format!("Harbour Street {}", 1 + id % 200),
                postcode: format!("{:05}", id % 100_000),
                city: "Hamburg".to_owned(),
                country: "Germany".to_owned(),
            },
            total: lines.iter().map(|line| line.quantity * line.price).sum(),
            lines,
        }
    }
}

pub(crate) struct Mailer {
    templates: Environment<'static>,
    from: Mailbox,
    free: Mutex<Vec<AsyncSmtpConnection>>,
    /// As many as there are free connections.
    permits: Semaphore,
    /// Counts the mails where the sink does not.
    accepted: Option<Arc<Tally>>,
}

impl Mailer {
    pub(crate) async fn connect(address: &str, connections: usize, accepted: Option<Arc<Tally>>) -> Arc<Self> {
        let mut free = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.expect("the sink answers");
            // A message and its end are written one after the other: without it, the second waits for an
            // acknowledgement, which the other side delays by 40 ms.
            stream.set_nodelay(true).expect("no delay");
            let hello = ClientId::Domain("shop.example".to_owned());
            let connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await;
            free.push(connection.expect("the sink greets"));
        }
        Arc::new(Self {
            templates: templates(),
            from: "Shop <orders@shop.example>".parse().expect("an address"),
            free: Mutex::new(free),
            permits: Semaphore::new(connections),
            accepted,
        })
    }

    pub(crate) async fn send(&self, order: &Order) {
        let message = self.message(order);
        let (envelope, message) = (message.envelope(), message.formatted());
        let _permit = self.permits.acquire().await.expect("it is never closed");
        let free = || self.free.lock().expect("nobody panics with it");
        let mut connection = free().pop().expect("each permit is a connection");
        connection.send(envelope, &message).await.expect("the sink takes every mail");
        free().push(connection);
        if let Some(tally) = &self.accepted {
            tally.add();
        }
    }

    fn message(&self, order: &Order) -> Message {
        let values = Value::from(Serde(order));
        let render = |name| {
            let template = self.templates.get_template(name).expect("a template");
            template.render(&values).expect("a mail")
        };
        let to: Address = order.customer.email.parse().expect("an address");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(order.customer.name.clone()), to))
            .subject(render("subject.txt"))
            .message_id(Some(format!("<order-{}@shop.example>", order.id)))
            .multipart(MultiPart::alternative_plain_html(render("order.txt"), render("order.html")))
            .expect("a message")
    }
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").finish_non_exhaustive()
    }
}

fn templates() -> Environment<'static> {
    let mut templates = Environment::new();
    templates.add_filter("money", |cents: i64| format!("{}.{:02}", cents / 100, cents % 100));
    for (name, source) in [("subject.txt", SUBJECT), ("order.txt", TEXT), ("order.html", HTML)] {
        templates.add_template(name, source).expect("a template");
    }
    templates
}
