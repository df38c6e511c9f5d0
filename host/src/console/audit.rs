//! Who did what in the console, and why.

use axum::extract::{Query, State};
use maud::html;
use serde::Deserialize;

use super::App;
use super::layout::{Failed, Page, badge, more, page as framed, page_at, table, time};
use super::session::Operator;
use crate::service::ActInfo;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    pub(super) cursor: String,
}

pub(super) async fn page(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    let found = app.acts(operator.who, &page_at(&asked.cursor)).await?;
    let row = |act: &ActInfo| {
        html! {
            td { (time(act.created_at)) }
            td { (act.created_by) }
            td { (act.act) }
            td { (act.subject) }
            td.wide { (act.why) }
            td { (badge(&act.outcome)) }
        }
    };
    let rows: Vec<_> = found.items.iter().map(row).collect();
    Ok(framed(
        &operator,
        "Audit",
        &html! {
            h1 { "Audit" }
            p { "Acts in this console, written down before they are done. What came by the APIs and the command line is in the journals of notifications and in the history of the plugins." }
            (table("Acts", &["When", "Who", "Act", "To", "Why", "Outcome"], &rows))
            (more(found.next.as_deref(), "/console/audit", &[]))
        },
    ))
}
