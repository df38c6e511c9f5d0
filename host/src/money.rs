//! Exact amounts in minor units; never floating point.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in the minor units of its currency: 1999 in USD is 19.99 US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an amount in minor units with its currency")]
pub struct Money {
    /// Minor units.
    #[serde(deserialize_with = "whole")]
    pub amount: i64,
    /// What they are minor units of.
    pub currency: Currency,
}

/// Reads an integer as JSON Schema has it, for which 2.0 is one (Draft 2020-12, 6.1.1). To 2^53 for those, beyond which
/// a double is not exact.
pub(crate) fn whole<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: TryFrom<i64, Error: fmt::Display>,
{
    struct Whole;
    impl serde::de::Visitor<'_> for Whole {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }

        fn visit_i64<E>(self, value: i64) -> Result<i64, E> {
            Ok(value)
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<i64, E> {
            i64::try_from(value).map_err(|_| E::custom("is too large"))
        }

        #[expect(clippy::cast_possible_truncation, reason = "it is whole and at most 2^53")]
        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<i64, E> {
            if value.fract() != 0.0 || value.abs() > 9_007_199_254_740_992.0 {
                return Err(E::invalid_value(serde::de::Unexpected::Float(value), &self));
            }
            Ok(value as i64)
        }
    }
    T::try_from(from.deserialize_i64(Whole)?).map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
#[serde(bound = "T: TryFrom<i64, Error: fmt::Display>")]
struct Whole<T>(#[serde(deserialize_with = "whole")] T);

/// A list of them.
pub(crate) fn wholes<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: TryFrom<i64, Error: fmt::Display>,
{
    Ok(Vec::<Whole<T>>::deserialize(from)?.into_iter().map(|Whole(value)| value).collect())
}

/// The same, or nothing.
pub(crate) fn whole_or_none<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: TryFrom<i64, Error: fmt::Display>,
{
    Ok(Option::<Whole<T>>::deserialize(from)?.map(|Whole(value)| value))
}

/// The largest amount that anything may cost, in minor units. Far from overflow in every sum we make.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// An active currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

/// The active codes of ISO 4217 and their numbers of decimals, by code.
#[rustfmt::skip]
const CURRENCIES: [([u8; 3], u8); 156] = [
    (*b"AED", 2), (*b"AFN", 2), (*b"ALL", 2), (*b"AMD", 2), (*b"AOA", 2), (*b"ARS", 2), (*b"AUD", 2), (*b"AWG", 2),
    (*b"AZN", 2), (*b"BAM", 2), (*b"BBD", 2), (*b"BDT", 2), (*b"BHD", 3), (*b"BIF", 0), (*b"BMD", 2), (*b"BND", 2),
    (*b"BOB", 2), (*b"BRL", 2), (*b"BSD", 2), (*b"BTN", 2), (*b"BWP", 2), (*b"BYN", 2), (*b"BZD", 2), (*b"CAD", 2),
    (*b"CDF", 2), (*b"CHF", 2), (*b"CLP", 0), (*b"CNY", 2), (*b"COP", 2), (*b"CRC", 2), (*b"CUP", 2), (*b"CVE", 2),
    (*b"CZK", 2), (*b"DJF", 0), (*b"DKK", 2), (*b"DOP", 2), (*b"DZD", 2), (*b"EGP", 2), (*b"ERN", 2), (*b"ETB", 2),
    (*b"EUR", 2), (*b"FJD", 2), (*b"FKP", 2), (*b"GBP", 2), (*b"GEL", 2), (*b"GHS", 2), (*b"GIP", 2), (*b"GMD", 2),
    (*b"GNF", 0), (*b"GTQ", 2), (*b"GYD", 2), (*b"HKD", 2), (*b"HNL", 2), (*b"HTG", 2), (*b"HUF", 2), (*b"IDR", 2),
    (*b"ILS", 2), (*b"INR", 2), (*b"IQD", 3), (*b"IRR", 2), (*b"ISK", 0), (*b"JMD", 2), (*b"JOD", 3), (*b"JPY", 0),
    (*b"KES", 2), (*b"KGS", 2), (*b"KHR", 2), (*b"KMF", 0), (*b"KPW", 2), (*b"KRW", 0), (*b"KWD", 3), (*b"KYD", 2),
    (*b"KZT", 2), (*b"LAK", 2), (*b"LBP", 2), (*b"LKR", 2), (*b"LRD", 2), (*b"LSL", 2), (*b"LYD", 3), (*b"MAD", 2),
    (*b"MDL", 2), (*b"MGA", 2), (*b"MKD", 2), (*b"MMK", 2), (*b"MNT", 2), (*b"MOP", 2), (*b"MRU", 2), (*b"MUR", 2),
    (*b"MVR", 2), (*b"MWK", 2), (*b"MXN", 2), (*b"MYR", 2), (*b"MZN", 2), (*b"NAD", 2), (*b"NGN", 2), (*b"NIO", 2),
    (*b"NOK", 2), (*b"NPR", 2), (*b"NZD", 2), (*b"OMR", 3), (*b"PAB", 2), (*b"PEN", 2), (*b"PGK", 2), (*b"PHP", 2),
    (*b"PKR", 2), (*b"PLN", 2), (*b"PYG", 0), (*b"QAR", 2), (*b"RON", 2), (*b"RSD", 2), (*b"RUB", 2), (*b"RWF", 0),
    (*b"SAR", 2), (*b"SBD", 2), (*b"SCR", 2), (*b"SDG", 2), (*b"SEK", 2), (*b"SGD", 2), (*b"SHP", 2), (*b"SLE", 2),
    (*b"SOS", 2), (*b"SRD", 2), (*b"SSP", 2), (*b"STN", 2), (*b"SVC", 2), (*b"SYP", 2), (*b"SZL", 2), (*b"THB", 2),
    (*b"TJS", 2), (*b"TMT", 2), (*b"TND", 3), (*b"TOP", 2), (*b"TRY", 2), (*b"TTD", 2), (*b"TWD", 2), (*b"TZS", 2),
    (*b"UAH", 2), (*b"UGX", 0), (*b"USD", 2), (*b"UYU", 2), (*b"UZS", 2), (*b"VED", 2), (*b"VES", 2), (*b"VND", 0),
    (*b"VUV", 0), (*b"WST", 2), (*b"XAD", 2), (*b"XAF", 0), (*b"XCD", 2), (*b"XCG", 2), (*b"XOF", 0), (*b"XPF", 0),
    (*b"YER", 2), (*b"ZAR", 2), (*b"ZMW", 2), (*b"ZWG", 2),
];

impl Currency {
    /// The ISO 4217 code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// The number of decimals (ISO 4217 "minor unit").
    pub fn exponent(&self) -> u8 {
        self.exponent
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        let found = CURRENCIES.binary_search_by(|(listed, _)| listed.as_slice().cmp(code.as_bytes()));
        let found = found.map_err(|_| "must be an ISO 4217 code in capitals, such as \"USD\"".to_owned())?;
        let (code, exponent) = CURRENCIES[found];
        Ok(Self { code, exponent })
    }
}

impl utoipa::PartialSchema for Currency {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let codes = CURRENCIES.iter().map(|(code, _)| String::from_utf8_lossy(code).into_owned());
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("An active currency of ISO 4217."))
            .enum_values(Some(codes.collect::<Vec<_>>()))
            .into()
    }
}

impl utoipa::ToSchema for Currency {}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Money {
    /// An amount.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// The same currency, another amount.
    #[must_use]
    pub fn with(self, amount: i64) -> Self {
        Self { amount, ..self }
    }
}

/// `amount` times `basis_points` / 10,000, half up. None on overflow.
pub fn share(amount: i64, basis_points: u32) -> Option<i64> {
    part(amount, basis_points.into(), 10_000)
}

/// `amount` times `numerator` / `denominator`, half up. None on overflow, and of a denominator that is not positive.
pub fn part(amount: i64, numerator: i64, denominator: i64) -> Option<i64> {
    let (exact, denominator) = (i128::from(amount) * i128::from(numerator), i128::from(denominator));
    if denominator <= 0 {
        return None;
    }
    i64::try_from((2 * exact + denominator).div_euclid(2 * denominator)).ok()
}

#[cfg(test)]
mod tests {
    use super::{Currency, part, share};

    #[test]
    fn whole_doubles_are_integers_and_others_are_not() {
        let read = |amount: &str| {
            serde_json::from_str::<super::Money>(&format!(r#"{{"amount": {amount}, "currency": "USD"}}"#))
        };
        for (written, amount) in
            [("20", 20), ("20.0", 20), ("2e1", 20), ("-0.0", 0), ("9007199254740993", 9_007_199_254_740_993)]
        {
            assert_eq!(read(written).unwrap().amount, amount, "{written}");
        }
        for refused in ["20.5", "1e300", "9223372036854775808", "\"20\"", "null", "true"] {
            assert!(read(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn currencies_know_their_decimals() {
        let exponent = |code: &str| Currency::try_from(code.to_owned()).map(|c| c.exponent());
        assert_eq!(exponent("USD"), Ok(2));
        assert_eq!(exponent("JPY"), Ok(0));
        assert_eq!(exponent("KWD"), Ok(3));
        for wrong in ["usd", "US", "USDX", "", "XXX", "€€€", "A D"] {
            assert!(exponent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_round_half_up() {
        assert_eq!(share(1_999, 2_000), Some(400));
        assert_eq!(share(25, 1_000), Some(3));
        assert_eq!(share(24, 1_000), Some(2));
        assert_eq!(share(0, 2_000), Some(0));
        assert_eq!(share(i64::MAX, 20_000), None);
        assert_eq!((part(10, 1, 3), part(5, 1, 2), part(-5, 1, 2)), (Some(3), Some(3), Some(-2)));
        assert_eq!((part(i64::MAX, i64::MAX, i64::MAX), part(1, 1, 0)), (Some(i64::MAX), None));
    }
}
