use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::App;
use super::extract::{Caller, Id};
use super::problem::Problem;
use crate::service::{Revision, Slot};

/// A revision, as clients see it.
#[derive(Serialize)]
pub(super) struct Serving {
    slot: Slot,
    revision: i64,
    digest: String,
    origin: String,
    report: serde_json::Value,
}

impl From<&Revision> for Serving {
    fn from(revision: &Revision) -> Self {
        Self {
            slot: revision.slot,
            revision: revision.number,
            digest: revision.digest.clone(),
            origin: revision.origin.clone(),
            report: serde_json::to_value(&revision.report).unwrap_or_default(),
        }
    }
}

pub(super) async fn list(State(app): State<App>, Caller(who): Caller) -> Result<Json<Vec<Serving>>, Problem> {
    Ok(Json(app.plugins(who)?.iter().map(|r| Serving::from(r.as_ref())).collect()))
}

pub(super) async fn reload(
    State(app): State<App>,
    Caller(who): Caller,
    Id(slot): Id<Slot>,
) -> Result<Json<Serving>, Problem> {
    Ok(Json(Serving::from(app.reload_plugin(who, slot).await?.as_ref())))
}
