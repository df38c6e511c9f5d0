//! How amounts and days are written: the host's affair, which has the data of every language.

use crate::contract::{Moment, Money};

/// Writes amounts and days as a language does.
pub trait Formats {
    /// An amount with its currency's sign.
    fn money(&self, locale: &str, money: &Money) -> String;
    /// The day at that moment in a time zone.
    fn date(&self, locale: &str, at: &Moment, time_zone: &str) -> String;
    /// The time of day at that moment in a time zone.
    fn time(&self, locale: &str, at: &Moment, time_zone: &str) -> String;
    /// The moment in UTC (RFC 3339).
    fn utc(&self, at: &Moment) -> String;
    /// Whether a language is written from right to left.
    fn is_right_to_left(&self, locale: &str) -> bool;
}

/// Where amounts and days of one mail are written.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) formats: &'a dyn Formats,
    pub(crate) locale: &'a str,
    pub(crate) time_zone: &'a str,
}

impl Writer<'_> {
    pub(crate) fn money(self, money: &Money) -> String {
        self.formats.money(self.locale, money)
    }

    pub(crate) fn date(self, at: &Moment) -> String {
        self.formats.date(self.locale, at, self.time_zone)
    }

    /// What is taken off, or paid back.
    pub(crate) fn less(self, money: &Money) -> String {
        self.money(&Money { amount: money.amount.saturating_neg(), ..money.clone() })
    }

    /// With how much the clocks are ahead of UTC: to whoever travels it may not be the time on the wall.
    pub(crate) fn date_and_time(self, at: &Moment) -> String {
        let time = self.formats.time(self.locale, at, self.time_zone);
        format!("{}, {time} ({})", self.date(at), offset(at.utc_offset_minutes))
    }
}

/// "UTC", "UTC+2", "UTC-3:30".
fn offset(minutes: i32) -> String {
    let (hours, rest) = (minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60);
    let sign = if minutes < 0 { '-' } else { '+' };
    match (hours, rest) {
        (0, 0) => "UTC".to_owned(),
        (_, 0) => format!("UTC{sign}{hours}"),
        _ => format!("UTC{sign}{hours}:{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn offsets_are_written_out() {
        assert_eq!([0, 120, -210, 345, -30].map(offset), ["UTC", "UTC+2", "UTC-3:30", "UTC+5:45", "UTC-0:30"]);
    }
}
