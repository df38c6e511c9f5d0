//! Money and dates, as languages write them.

use crate::contract::{Moment, Money};

/// A language that has its own number and date formats.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    English,
    German,
}

/// "$1,234.50" or "1.234,50 $": decimals by the currency's exponent, never by floating point.
pub(crate) fn money(m: &Money, format: Format) -> String {
    let digits = m.amount.unsigned_abs().to_string();
    let exponent = usize::from(m.exponent);
    let padded = format!("{digits:0>width$}", width = exponent + 1);
    let (whole, fraction) = padded.split_at(padded.len() - exponent);
    let (group, point) = match format {
        Format::English => (',', '.'),
        Format::German => ('.', ','),
    };
    let mut number = String::with_capacity(padded.len() + 8);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            number.push(group);
        }
        number.push(digit);
    }
    if exponent > 0 {
        number.push(point);
        number.push_str(fraction);
    }
    let sign = if m.amount < 0 { "-" } else { "" };
    let symbol = match m.currency.as_str() {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "JPY" => "¥",
        code => code,
    };
    match format {
        Format::English if symbol.len() == 3 && symbol.is_ascii() => format!("{sign}{symbol} {number}"),
        Format::English => format!("{sign}{symbol}{number}"),
        Format::German => format!("{sign}{number} {symbol}"),
    }
}

const MONTHS: [[&str; 12]; 2] = [
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
];

/// The local calendar date; days to civil as in Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub(crate) fn date(at: &Moment, format: Format) -> String {
    let local_ms = i128::from(at.unix_ms) + i128::from(at.utc_offset_minutes) * 60_000;
    let days = i64::try_from(local_ms.div_euclid(86_400_000)).unwrap_or_default() + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 2 } else { shifted_month - 10 };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let names = &MONTHS[usize::from(format == Format::German)];
    let name = names[usize::try_from(month).unwrap_or_default()];
    match format {
        Format::English => format!("{name} {day}, {year}"),
        Format::German => format!("{day}. {name} {year}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Moment, Money, date, money};

    #[test]
    fn money_follows_the_exponent() {
        let m = |amount, currency: &str, exponent| Money { amount, currency: currency.to_owned(), exponent };
        assert_eq!(money(&m(1999, "USD", 2), Format::English), "$19.99");
        assert_eq!(money(&m(5, "USD", 2), Format::English), "$0.05");
        assert_eq!(money(&m(123_456_789, "EUR", 2), Format::German), "1.234.567,89 €");
        assert_eq!(money(&m(1_500, "JPY", 0), Format::English), "¥1,500");
        assert_eq!(money(&m(-1_234_567, "KWD", 3), Format::English), "-KWD 1,234.567");
        assert_eq!(money(&m(i64::MIN, "USD", 2), Format::English), "-$92,233,720,368,547,758.08");
    }

    #[test]
    fn dates_are_local() {
        let date = |unix_ms, utc_offset_minutes, format| date(&Moment { unix_ms, utc_offset_minutes }, format);
        assert_eq!(date(0, 0, Format::English), "January 1, 1970");
        assert_eq!(date(951_782_400_000, 0, Format::German), "29. Februar 2000");
        assert_eq!(date(951_782_400_000, -1, Format::English), "February 28, 2000");
        assert_eq!(date(1_795_300_000_000, 60, Format::English), "November 21, 2026");
    }
}
