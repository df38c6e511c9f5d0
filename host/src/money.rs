//! Exact amounts in minor units; never floating point.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in the minor units of its currency: 1999 in USD is 19.99 US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units.
    pub amount: i64,
    /// What they are minor units of.
    #[sqlx(try_from = "String")]
    pub currency: Currency,
}

/// The largest amount that anything may cost, in minor units. Far from overflow in every sum we make.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// An active currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// The active codes of ISO 4217 with two decimals.
const TWO: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF \
    CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS \
    INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN \
    NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN \
    SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG";
/// Those without decimals.
const ZERO: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
/// Those with three.
const THREE: &str = "BHD IQD JOD KWD LYD OMR TND";

impl Currency {
    /// The ISO 4217 code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The number of decimals (ISO 4217 "minor unit").
    pub fn exponent(&self) -> u8 {
        let listed = |codes: &str| codes.split_whitespace().any(|c| c == self.code());
        if listed(ZERO) {
            0
        } else if listed(THREE) {
            3
        } else {
            2
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        let known = [TWO, ZERO, THREE].iter().any(|codes| codes.split_whitespace().any(|c| c == code));
        match code.as_bytes().try_into() {
            Ok(bytes) if known => Ok(Self(bytes)),
            _ => Err("must be an ISO 4217 code in capitals, such as \"USD\"".to_owned()),
        }
    }
}

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
    let exact = i128::from(amount) * i128::from(basis_points);
    i64::try_from((exact + 5_000).div_euclid(10_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::{Currency, share};

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
    }
}
