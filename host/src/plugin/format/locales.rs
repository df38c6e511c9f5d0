//! The formatters of each locale, made once in a thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fixed_decimal::Decimal;
use icu_datetime::fieldsets::{T, YMD};
use icu_datetime::input::{Date, Time};
use icu_datetime::{DateTimeFormatter, NoCalendarFormatter};
use icu_decimal::DecimalFormatter;
use icu_experimental::dimension::currency::formatter::CurrencyFormatter;
use icu_experimental::dimension::currency::options::CurrencyFormatterOptions;
use icu_list::{ListFormatter, options::ListFormatterOptions};
use icu_locale::extensions::unicode::Value;
use icu_locale::preferences::extensions::unicode::keywords::CurrencyType;
use icu_locale::{Locale, LocaleDirectionality, locale};
use icu_plurals::{PluralCategory, PluralRuleType, PluralRules};

/// The most locales that a thread keeps, and the most currencies of each.
const KEPT_MAX: usize = 100;

/// The formatters of one locale.
pub(super) struct Formatters {
    locale: Locale,
    dates: [DateTimeFormatter<YMD>; 3],
    time: NoCalendarFormatter<T>,
    number: DecimalFormatter,
    plurals: PluralRules,
    list: ListFormatter,
    currencies: RefCell<HashMap<String, Option<Rc<CurrencyFormatter<DecimalFormatter>>>>>,
}

thread_local! {
    static KEPT: RefCell<HashMap<String, Rc<Formatters>>> = RefCell::default();
    static RIGHT_TO_LEFT: RefCell<HashMap<String, bool>> = RefCell::default();
}

/// What is kept under a name, made first if it is not there.
fn kept<V: Clone>(all: &RefCell<HashMap<String, V>>, name: &str, make: impl FnOnce() -> V) -> V {
    if let Some(value) = all.borrow().get(name) {
        return value.clone();
    }
    let value = make();
    let mut all = all.borrow_mut();
    // Who asks for ever other names pays for it.
    if all.len() >= KEPT_MAX {
        all.clear();
    }
    all.insert(name.to_owned(), value.clone());
    value
}

/// Does something with a locale's formatters.
pub(super) fn with<T>(tag: &str, work: impl FnOnce(&Formatters) -> T) -> T {
    work(&KEPT.with(|all| kept(all, tag, || Rc::new(Formatters::of(tag)))))
}

/// Whether the language is written from right to left.
pub(super) fn is_right_to_left(tag: &str) -> bool {
    let looked_up =
        || tag.parse::<Locale>().is_ok_and(|locale| LocaleDirectionality::new_common().is_right_to_left(&locale.id));
    RIGHT_TO_LEFT.with(|all| kept(all, tag, looked_up))
}

impl Formatters {
    fn of(tag: &str) -> Self {
        let known = tag.parse().ok().and_then(|locale| Self::new(locale).filter(Self::is_known));
        known.or_else(|| Self::new(locale!("en"))).expect("there is data of English")
    }

    fn new(locale: Locale) -> Option<Self> {
        let dates = [YMD::short(), YMD::medium(), YMD::long()].map(|l| DateTimeFormatter::try_new((&locale).into(), l));
        let [short, medium, long] = dates;
        Some(Self {
            dates: [short.ok()?, medium.ok()?, long.ok()?],
            time: NoCalendarFormatter::try_new((&locale).into(), T::hm()).ok()?,
            number: DecimalFormatter::try_new(
                (&locale).into(),
                icu_decimal::options::DecimalFormatterOptions::default(),
            )
            .ok()?,
            plurals: PluralRules::try_new((&locale).into(), PluralRuleType::Cardinal.into()).ok()?,
            list: ListFormatter::try_new_and((&locale).into(), ListFormatterOptions::default()).ok()?,
            currencies: RefCell::default(),
            locale,
        })
    }

    /// Whether there is data of the language: where there is none, the CLDR's root stands in, whose months are M01 to M12.
    fn is_known(&self) -> bool {
        self.date(2026, 10, 24, 2).is_some_and(|written| !written.contains("M10"))
    }

    pub(super) fn money(&self, amount: i64, currency: &str, decimals: u8) -> String {
        let formatter = kept(&self.currencies, currency, || self.currency(currency).map(Rc::new));
        match formatter {
            Some(formatter) => formatter.format_fixed_decimal(&decimal(amount, decimals)).to_string(),
            None => format!("{} {currency}", self.number(amount, decimals)),
        }
    }

    fn currency(&self, code: &str) -> Option<CurrencyFormatter<DecimalFormatter>> {
        if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_alphabetic()) {
            return None;
        }
        let currency: CurrencyType = code.parse::<Value>().ok()?.try_into().ok()?;
        CurrencyFormatter::try_new_symbol((&self.locale).into(), currency, CurrencyFormatterOptions::default()).ok()
    }

    pub(super) fn number(&self, amount: i64, decimals: u8) -> String {
        self.number.format(&decimal(amount, decimals)).to_string()
    }

    pub(super) fn date(&self, year: i32, month: u8, day: u8, length: u8) -> Option<String> {
        let date = Date::try_new_iso(year, month, day).ok()?;
        Some(self.dates.get(usize::from(length))?.format(&date).to_string())
    }

    pub(super) fn time(&self, hour: u8, minute: u8) -> String {
        let time = Time::try_new(hour, minute, 0, 0).unwrap_or_else(|_| Time::start_of_day());
        self.time.format(&time).to_string()
    }

    pub(super) fn conjunction(&self, items: &[String]) -> String {
        self.list.format(items.iter()).to_string()
    }

    pub(super) fn plural(&self, number: u64) -> PluralCategory {
        self.plurals.category_for(number)
    }
}

fn decimal(amount: i64, decimals: u8) -> Decimal {
    let mut decimal = Decimal::from(amount);
    decimal.multiply_pow10(-i16::from(decimals));
    decimal
}

#[cfg(test)]
mod tests {
    use super::super::{date, money};
    use super::{is_right_to_left, with};

    #[test]
    fn each_language_writes_in_its_way() {
        let written = |tag: &str| {
            let list = ["a", "b", "c"].map(str::to_owned);
            with(tag, |l| format!("{} {} {:?}", l.conjunction(&list), l.time(13, 5), l.plural(2)))
                + &format!(" {} {}", money(tag, -123_456_789, "EUR", 2), date(tag, (2026, 10, 24), 2))
        };
        insta::assert_snapshot!(written("en"), @"a, b, and c 1:05 PM Other -€1,234,567.89 October 24, 2026");
        insta::assert_snapshot!(written("de"), @"a, b und c 13:05 Other -1.234.567,89 € 24. Oktober 2026");
        insta::assert_snapshot!(written("fr"), @"a, b et c 13:05 Other -1 234 567,89 € 24 octobre 2026");
        insta::assert_snapshot!(written("ar"), @"a وb وc 1:05 م Two ‏‎-1,234,567.89 € 24 أكتوبر 2026");
        insta::assert_snapshot!(written("ja"), @"a、b、c 13:05 Other -€1,234,567.89 2026年10月24日");
        assert_eq!(written("tlh"), written("en"), "there is no data of Klingon");
        assert_eq!(written("not a tag"), written("en"));
    }

    #[test]
    fn money_has_its_currency_s_decimals() {
        insta::assert_snapshot!(money("en", 1_500, "JPY", 0), @"¥1,500");
        insta::assert_snapshot!(money("en", 1_234_567, "KWD", 3), @"KWD 1,234.567");
        insta::assert_snapshot!(money("en", i64::MIN, "USD", 2), @"-$92,233,720,368,547,758.08");
        insta::assert_snapshot!(money("en", 5, "points", 0), @"5 points");
        insta::assert_snapshot!(date("en", (2026, 2, 30), 2), @"2026-02-30");
    }

    #[test]
    fn the_data_is_what_the_report_says() {
        let lock = include_str!("../../../../Cargo.lock");
        for said in super::super::DATA.split(", ") {
            let (name, version) = said.split_once(' ').expect("a version");
            assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "another {name}");
        }
    }

    #[test]
    fn scripts_have_a_direction() {
        assert!(is_right_to_left("ar-EG") && is_right_to_left("he"));
        assert!(!is_right_to_left("de") && !is_right_to_left("not a tag"));
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let letters = (b'A'..=b'Z').flat_map(|a| (b'A'..=b'Z').map(move |b| [char::from(a), char::from(b)]));
        for (i, [a, b]) in letters.take(300).enumerate() {
            let _ = money(&format!("en-x-{i}"), 1, "USD", 2);
            let _ = money("en", 1, &format!("{a}{b}Q"), 2);
        }
        super::KEPT.with_borrow(|kept| assert!(kept.len() <= super::KEPT_MAX));
        with("en", |l| assert!(l.currencies.borrow().len() <= super::KEPT_MAX));
    }
}
