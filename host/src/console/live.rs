//! What the overview shows, again every two seconds (server-sent events, WHATWG HTML 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::Event;
use futures_util::Stream;
use tokio_util::sync::CancellationToken;

use super::App;
use super::overview::standing;
use super::session::Operator;

const EVERY: Duration = Duration::from_secs(2);
/// After so many the browser asks again, with the rights of then.
const EVENTS_MAX: u32 = 150;

pub(super) async fn stream(
    State(app): State<App>,
    Extension(stop): Extension<CancellationToken>,
    operator: Operator,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let begin = (app, stop, operator, 0_u32);
    Sse::new(futures_util::stream::unfold(begin, async |(app, stop, operator, n)| {
        tokio::select! {
            // The host stops; the browser finds another one, or this one again.
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(EVERY) => {}
        }
        if n == EVENTS_MAX {
            return None;
        }
        let looked = async { standing(&app, operator.who, &app.queue_status(operator.who).await?).await };
        let event = match looked.await {
            Ok(standing) => Event::default().data(standing.into_string()),
            // Asked again in two seconds.
            Err(_) => Event::default().event("away").data("away"),
        };
        Some((Ok(event), (app, stop, operator, n + 1)))
    }))
}
