//! Time and randomness. Nothing else in the host reads a clock or draws a random number.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime};

/// A day, in milliseconds.
pub const DAY_MS: i64 = 86_400_000;
/// An hour.
pub const HOUR_MS: i64 = 3_600_000;

/// The system's clocks, which tests may move forward. Cheap to clone; clones share the offset.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    offset_ms: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The clocks of this machine.
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    pub fn system() -> Self {
        Self(Arc::new(Inner { started: Instant::now(), offset_ms: AtomicI64::new(0) }))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    pub fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(self.offset_ms())
    }

    /// Milliseconds since this clock was made; never goes back.
    pub fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(i64::MAX).saturating_add(self.offset_ms())
    }

    /// Microseconds since this clock was made, for measuring.
    pub fn monotonic_us(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// How far [`advance`](Self::advance) has moved this clock; 0 in production. Store verbs add it to the
    /// database's time.
    pub fn offset_ms(&self) -> i64 {
        self.0.offset_ms.load(Ordering::Relaxed)
    }

    /// Moves the clock forward, for tests.
    pub fn advance(&self, ms: u32) {
        self.0.offset_ms.fetch_add(i64::from(ms), Ordering::Relaxed);
    }

    /// Bytes from the operating system's random source.
    ///
    /// # Panics
    /// When the operating system has none to give.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    /// A random UUID, version 4 (RFC 9562).
    pub fn uuid(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.random()).into_uuid()
    }
}

/// Unix milliseconds as RFC 3339 text in JSON: `#[serde(with = "rfc3339")]`.
pub mod rfc3339 {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    /// "2026-11-22T21:09:00.123Z"; what is out of range becomes the epoch.
    pub fn text(unix_ms: i64) -> String {
        jiff::Timestamp::from_millisecond(unix_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
    }

    /// Whether the time can be written as text.
    pub fn is_in_range(unix_ms: i64) -> bool {
        jiff::Timestamp::from_millisecond(unix_ms).is_ok()
    }

    /// Writes the text.
    pub fn serialize<S: Serializer>(unix_ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&text(*unix_ms))
    }

    /// Reads the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let at: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(at.as_millisecond())
    }

    /// The same for a time that may be absent.
    pub mod option {
        use serde::{Deserialize, Deserializer, Serializer};

        /// Reads the text or null.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
            #[derive(Deserialize)]
            struct Time(#[serde(with = "super")] i64);
            Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(at)| at))
        }

        /// Writes the text or null.
        pub fn serialize<S: Serializer>(unix_ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
            match unix_ms {
                Some(at) => serializer.collect_str(&super::text(*at)),
                None => serializer.serialize_none(),
            }
        }
    }
}
