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

    pub(crate) fn date_and_time(self, at: &Moment) -> String {
        format!("{}, {}", self.date(at), self.formats.time(self.locale, at, self.time_zone))
    }
}
