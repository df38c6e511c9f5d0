//! The page, and what it asks for.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event as Sse, KeepAlive, Sse as Stream};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Workshop;
use crate::kit::project::find;
use crate::kit::show::{Shown, show};

const PAGE: &str = include_str!("page.html");

pub(super) async fn serve(listener: TcpListener, workshop: Arc<Workshop>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/changes", get(changes))
        .route("/shown", get(shown))
        .layer(from_fn(only_this_machine))
        .with_state(workshop);
    axum::serve(listener, router).await
}

/// A page of elsewhere, under a name that leads here, must not read an author's work.
async fn only_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return (StatusCode::FORBIDDEN, "this page is for this machine only").into_response();
    }
    next.run(request).await
}

/// A line whenever there is something else to show.
async fn changes(
    State(workshop): State<Arc<Workshop>>,
) -> Stream<impl futures_util::Stream<Item = Result<Sse, Infallible>>> {
    let mut standing = workshop.standing.subscribe();
    standing.mark_changed();
    let lines = stream::unfold(standing, async |mut standing| {
        standing.changed().await.ok()?;
        let number = standing.borrow_and_update().number;
        Some((Ok(Sse::default().data(number.to_string())), standing))
    });
    Stream::new(lines).keep_alive(KeepAlive::default())
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    event: String,
    #[serde(default)]
    locale: String,
}

/// All that the page shows of one event in one language.
async fn shown(State(workshop): State<Arc<Workshop>>, Query(asked): Query<Asked>) -> Json<Value> {
    let standing = workshop.standing.borrow().clone();
    let mut told = serde_json::to_value(&standing).unwrap_or_default();
    let Some(component) = standing.component else { return Json(told) };
    let names: Vec<_> = component.events.iter().map(|event| event.name.as_str()).collect();
    let name = if asked.event.is_empty() { names.first().copied().unwrap_or("order-placed") } else { &asked.event };
    told["events"] = json!(names);
    told["event"] = json!(name);
    told["component"] = json!(component.revision.report.manifest);
    let event = match find(name, &component.events) {
        Ok(event) => event,
        Err(e) => {
            told["answers"] = json!([{ "fault": e.to_string() }]);
            return Json(told);
        }
    };
    let event = match asked.locale.try_into() {
        Ok(locale) => event.in_locale(locale),
        Err(_) => event,
    };
    told["locale"] = json!(event.notification.payload.customer.locale);
    let answers = show(&workshop.offline, &component.revision, &event).await;
    told["answers"] = answers.iter().map(answer).collect();
    told["log"] = json!(workshop.offline.take_log());
    Json(told)
}

fn answer(shown: &Shown) -> Value {
    let budget = shown.budget;
    let response = shown.answer.as_ref().ok();
    json!({
        "question": shown.question.name(),
        "fault": shown.answer.as_ref().err().map(ToString::to_string),
        "text": shown.text(),
        "html": shown.email().and_then(|email| email.html.as_ref()),
        "bytes": shown.email().map(|email| email.text.len() + email.html.as_ref().map_or(0, String::len)),
        "costs": response.map(|r| json!([
            { "of": "fuel", "used": r.usage.fuel, "max": budget.fuel_max },
            { "of": "memory, bytes", "used": r.usage.memory_bytes, "max": budget.memory_bytes_max },
            { "of": "time, microseconds", "used": r.time_us, "max": budget.time_ms_max * 1_000 },
        ])),
    })
}
