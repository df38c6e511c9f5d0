//! How amounts and days are written: the host's affair, which has the data of every language.

use crate::contract::{Moment, Money};

/// Writes amounts and days as a language does.
pub trait Formats {
    /// An amount with its currency's sign.
    fn money(&self, locale: &str, money: &Money) -> String;
    /// The day at that moment in a time zone.
    fn date(&self, locale: &str, at: &Moment, time_zone: &str) -> String;
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
}
