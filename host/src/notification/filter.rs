//! Which notifications are meant.

use serde::{Deserialize, Serialize};

use super::{State, report};

/// Which notifications are listed or acted on: those for which everything holds that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = NotificationFilter)]
pub struct Filter {
    /// That stand there.
    pub state: Option<State>,
    /// Of this order: its mails, or what an endpoint was sent of it if one is given.
    pub order_id: Option<i64>,
    /// To this customer.
    pub user_id: Option<i64>,
    /// To this endpoint of a webhook.
    pub endpoint_id: Option<i64>,
    /// Made earlier than this, unix milliseconds.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_before: Option<i64>,
    /// Ended at this time or later, unix milliseconds.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_since: Option<i64>,
    /// Of this kind, such as "order.shipped".
    #[schema(max_length = 100, pattern = "^[^\\u0000]*$")]
    pub kind: Option<String>,
    /// Offered to this relay at least once.
    #[schema(max_length = 100, pattern = "^[^\\u0000]*$")]
    pub relay: Option<String>,
    /// Whose reason holds these words, in any case.
    #[schema(max_length = 100, pattern = "^[^\\u0000]*$")]
    pub reason: Option<String>,
    /// Whether an operator's cancel is what ended it.
    pub cancelled: Option<bool>,
    /// What became of it after a relay took it.
    pub delivery: Option<report::Delivery>,
    /// In which order a list has them; the oldest first by default.
    #[serde(skip)]
    pub newest_first: bool,
}
