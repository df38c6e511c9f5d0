//! What leaves a host over a connection, whatever it is and whatever is spoken: connections and how many, circuit breaker, pace,
//! whose turn it is, and the rule of doubt. `mail` and `webhook` say what is spoken (`Protocol`).

mod connections;
pub(crate) mod http;
pub(crate) mod load;
mod pace;
mod pauses;
mod peer;
mod pipeline;
mod session;
pub(crate) mod socket;
pub(crate) mod tls;
pub(crate) mod turns;
mod wait;

pub(crate) use pauses::Pauses;
pub(crate) use peer::Peer;
pub use session::Deadlines;
pub(crate) use session::{Broken, Greeted, Intent, Late, Protocol, Taken, Transacted, held, record, within};
pub(crate) use wait::hold;

use crate::notification::Class;

/// What came of a hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Delivered, or why not.
    pub result: Result<(), Class>,
    /// How far it got.
    pub phase: &'static str,
    /// The SMTP reply code, or the HTTP status.
    pub code: Option<u16>,
    /// The enhanced status code.
    pub enhanced: Option<String>,
    /// The reply's text, cut.
    pub reply: String,
    /// Which relay, or which endpoint.
    pub relay: String,
}

/// Nothing was offered: nothing is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untried {
    /// When to come back, in milliseconds.
    pub delay_ms: i64,
    /// What was in the way.
    pub why: String,
}

/// How this host stands with one that takes messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Whether it was reached when it was last tried, or has not been tried.
    pub is_reached: bool,
    /// Whether operators paused it: it is not tried.
    pub is_paused: bool,
    /// Connections that are open.
    pub connections: u32,
    /// The most of them at one time, as far as is known.
    pub connections_max: u32,
    /// So many messages a second it takes, as learnt or capped; none while no limit is known.
    pub per_second: Option<f64>,
}

/// What one that takes messages is called, and what it may be given.
pub(crate) struct Limits {
    /// What it is, in sentences: "the relay".
    pub(crate) noun: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// The most connections at one time.
    pub(crate) connections_max: u32,
    /// The most messages in any second; 0: no limit but what its answers teach.
    pub(crate) per_second_max: u32,
    /// The most messages in 24 hours; 0: any number.
    pub(crate) per_day_max: u32,
    /// The most messages over one connection.
    pub(crate) per_connection_max: u32,
    /// How long a connection may wait for its next message, in milliseconds.
    pub(crate) idle_ms_max: i64,
    /// The longest that it is left alone when it cannot be reached, in milliseconds.
    pub(crate) away_ms_max: i64,
}
