//! What all pages have in common: the frame, what went wrong, and the small things that are shown everywhere.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets::NAMES;
use super::session::Operator;
use crate::http::Problem;
use crate::money::Money;
use crate::service::{Error, PageRequest};

/// A whole page.
pub(super) struct Page(pub(super) Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], self.0.into_string()).into_response()
    }
}

/// A page that says what went wrong.
#[derive(Debug)]
pub(super) struct Failed {
    status: StatusCode,
    says: String,
}

impl Failed {
    pub(super) fn new(status: StatusCode, says: &str) -> Self {
        Self { status, says: says.to_owned() }
    }

    /// A form that was not sent by a page of ours, or by one of another log-in.
    pub(super) fn forged() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This form was not sent by a page of this console, or by one of an earlier log-in. \
            Nothing was done; open the page again.",
        )
    }
}

impl Failed {
    /// Without a page, for a script.
    pub(super) fn status_and_words(self) -> Response {
        (self.status, self.says).into_response()
    }
}

impl From<Error> for Failed {
    fn from(e: Error) -> Self {
        let says = match &e {
            Error::Stale { .. } => {
                format!("{e}. Nothing was done: somebody else was faster. Open the page again and look.")
            }
            Error::Forbidden => "This account may not do this.".to_owned(),
            e => e.to_string(),
        };
        let status = Problem::from(e).status();
        Self { status, says }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let page = bare(
            title,
            &html! {
                h1 { (title) }
                p role="alert" { (self.says) }
                p { a href="/console" { "To the overview" } }
            },
        );
        (self.status, page).into_response()
    }
}

/// The places that every page leads to.
const PLACES: [(&str, &str); 9] = [
    ("/console", "Overview"),
    ("/console/notifications", "Notifications"),
    ("/console/plugins", "Plugins"),
    ("/console/orders", "Orders"),
    ("/console/products", "Products"),
    ("/console/users", "Users"),
    ("/console/suppressions", "Suppressions"),
    ("/console/webhooks", "Webhooks"),
    ("/console/audit", "Audit"),
];

/// A page without a session.
pub(super) fn bare(title: &str, body: &Markup) -> Page {
    frame(title, &html! {}, body)
}

/// A page of somebody who is logged in.
pub(super) fn page(operator: &Operator, title: &str, body: &Markup) -> Page {
    let is_here = |place: &str| title == place || title.starts_with(place.trim_end_matches('s'));
    let may_see = |place: &str| operator.who.is_admin || !matches!(place, "Orders" | "Products" | "Users");
    frame(
        title,
        &html! {
            nav aria-label="Console" {
                @for (path, name) in PLACES.iter().filter(|(_, name)| may_see(name)) {
                    a href=(path) aria-current=[is_here(name).then_some("page")] { (name) }
                }
            }
            form method="post" action="/console/logout" { (token(operator)) button.quiet { "Log out" } }
        },
        body,
    )
}

fn frame(title: &str, head: &Markup, body: &Markup) -> Page {
    let [style, script] = &*NAMES;
    Page(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · ecomm" }
                link rel="stylesheet" href={ "/console/assets/" (style) };
                link rel="icon" href="/console/assets/icon.svg";
                script src={ "/console/assets/" (script) } defer {}
            }
            body {
                a.skip href="#main" { "To the content" }
                header { strong { "ecomm" } (head) }
                main #main tabindex="-1" { (body) }
            }
        }
    })
}

/// What makes a form ours.
pub(super) fn token(operator: &Operator) -> Markup {
    html! { input type="hidden" name="token" value=(operator.token); }
}

/// A form with a reason and a button.
pub(super) fn act(operator: &Operator, path: &str, verb: &str, more: &Markup) -> Markup {
    html! {
        form.act method="post" action=(path) {
            (token(operator))
            (more)
            label { "Why" input name="why" required maxlength="500" autocomplete="off"; }
            button { (verb) }
        }
    }
}

/// A time, to the second.
pub(super) fn time(unix_ms: i64) -> Markup {
    let text = crate::clock::rfc3339::text(unix_ms);
    let shown = text.get(..19).unwrap_or(&text).replace('T', " ");
    html! { time datetime=(text) { (shown) " UTC" } }
}

/// A span of time, in the two largest units that fit.
pub(super) fn span(ms: i64) -> String {
    let s = ms / 1_000;
    match s {
        _ if ms < 1_000 => format!("{ms} ms"),
        0..=59 => format!("{s}.{} s", ms % 1_000 / 100),
        60..=3_599 => format!("{} min {} s", s / 60, s % 60),
        3_600..=86_399 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// A word for a state, whose colour says how bad it is.
pub(super) fn badge(word: &str) -> Markup {
    let class = match word {
        "sent" | "delivered" | "active" | "succeeded" => "good",
        "failed" | "held" | "disabled" | "rejected" | "quarantined" | "in-doubt" | "hold" | "hold-urgent"
        | "give-up" => "bad",
        "canary" | "shadow" | "running" | "retry" | "wait" | "deferred" | "throttled" | "greylisted" => "some",
        _ => "plain",
    };
    html! { span class={ "badge " (class) } { (word) } }
}

/// An amount, with its currency.
pub(super) fn money(money: &Money) -> String {
    let exponent = u32::from(money.currency.exponent());
    let unit = 10_i64.pow(exponent);
    let sign = if money.amount < 0 { "-" } else { "" };
    let (whole, part) = (money.amount.abs() / unit, money.amount.abs() % unit);
    match exponent {
        0 => format!("{sign}{whole} {}", money.currency.code()),
        _ => format!("{sign}{whole}.{part:0width$} {}", money.currency.code(), width = exponent as usize),
    }
}

/// A number of a form or an address, if it was filled in.
pub(super) fn number<N: std::str::FromStr>(name: &str, value: &str) -> Result<Option<N>, Error> {
    let wrong = |_| Error::invalid(&format!("/{name}"), "must be a number");
    Some(value.trim()).filter(|value| !value.is_empty()).map(str::parse).transpose().map_err(wrong)
}

/// That page of a list; the first when empty.
pub(super) fn page_at(cursor: &str) -> PageRequest {
    PageRequest { limit: Some(50), cursor: Some(cursor.to_owned()) }
}

/// To the next page of a list.
pub(super) fn more(next: Option<&str>, path: &str, query: &[(&str, &str)]) -> Markup {
    let Some(next) = next else { return html! {} };
    let to = address(path, query.iter().copied().chain([("cursor", next)]));
    html! { p.more { a href=(to) rel="next" { "More" } } }
}

/// A page with what was asked of it, as far as anything was.
pub(super) fn address<'a>(path: &str, asked: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked.into_iter().filter(|(_, value)| !value.is_empty()));
    format!("{path}?{}", query.finish())
}

/// A table that scrolls by itself where the window is narrow.
pub(super) fn table(name: &str, head: &[&str], rows: &[Markup]) -> Markup {
    html! {
        @if rows.is_empty() {
            p.none { "None." }
        } @else {
            div.table role="region" aria-label=(name) tabindex="0" {
                table {
                    caption.unseen { (name) }
                    thead { tr { @for cell in head { th scope="col" { (cell) } } } }
                    tbody { @for row in rows { tr { (row) } } }
                }
            }
        }
    }
}

/// JSON, for reading.
pub(super) fn json(value: &serde_json::Value) -> Markup {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    html! { pre tabindex="0" { (text) } }
}

/// Content of a mail, in a document of its own: no script, nothing from elsewhere, and framed by our pages alone.
pub(super) fn foreign(media: &'static str, content: String) -> Response {
    const POLICY: &str =
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'";
    let headers = [
        (header::CONTENT_TYPE, media),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    (headers, content).into_response()
}

/// A text of a mail as a document.
pub(super) fn text_document(text: &str) -> String {
    html! { (DOCTYPE) html lang="en" { head { title { "Text" } } body { pre { (text) } } } }.into_string()
}
