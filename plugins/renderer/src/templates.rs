//! The default texts.

use serde::Serialize;

/// What a mail can be about.
pub(crate) const KINDS: [&str; 5] = ["pending", "shipped", "delivered", "cancelled", "updated"];
pub(crate) const BASE_TEXT: &str = include_str!("../templates/base.txt");
pub(crate) const BASE_HTML: &str = include_str!("../templates/base.html");

pub(crate) struct Default {
    pub(crate) language: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) text: &'static str,
    pub(crate) html: &'static str,
}

macro_rules! defaults {
    ($($language:literal $kind:literal)*) => {
        &[$(Default {
            language: $language,
            kind: $kind,
            subject: include_str!(concat!("../templates/", $language, "/", $kind, ".subject")),
            text: include_str!(concat!("../templates/", $language, "/", $kind, ".txt")),
            html: include_str!(concat!("../templates/", $language, "/", $kind, ".html")),
        }),*]
    };
}

pub(crate) const DEFAULTS: &[Default] = defaults! {
    "en" "pending" "en" "shipped" "en" "delivered" "en" "cancelled" "en" "updated"
    "de" "pending" "de" "shipped" "de" "delivered" "de" "cancelled" "de" "updated"
};

/// The words around the values; templates see them as `t`.
#[derive(Serialize)]
pub(crate) struct Labels {
    subtotal: &'static str,
    discount: &'static str,
    tax: &'static str,
    shipping: &'static str,
    total: &'static str,
    payment: &'static str,
    ship_to: &'static str,
    tracking: &'static str,
    questions: &'static str,
}

pub(crate) const ENGLISH: Labels = Labels {
    subtotal: "Subtotal",
    discount: "Discount",
    tax: "Tax",
    shipping: "Shipping",
    total: "Total",
    payment: "Payment",
    ship_to: "Ships to",
    tracking: "Track your parcel",
    questions: "Questions? Write to",
};

pub(crate) const GERMAN: Labels = Labels {
    subtotal: "Zwischensumme",
    discount: "Rabatt",
    tax: "Steuer",
    shipping: "Versand",
    total: "Summe",
    payment: "Zahlung",
    ship_to: "Lieferung an",
    tracking: "Sendung verfolgen",
    questions: "Fragen? Schreiben Sie an",
};
