//! What mails say, in each language: messages of Project Fluent (projectfluent.org), the operator's before the default ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use crate::config::{Message, Parts, escaped, refuse};
use crate::contract::ConfigError;
use crate::variables;

macro_rules! locales {
    ($($tag:literal)*) => {
        /// The languages that have texts of their own.
        pub(crate) const LOCALES: &[(&str, &str)] = &[$(($tag, include_str!(concat!("../locales/", $tag, ".ftl")))),*];
    };
}

locales! { "en" "ar" "de" "es" "fr" "it" "ja" "nl" "pl" "pt" "pt-br" "sv" "zh" }

/// What stands for whatever has no text in a language.
pub(crate) const ENGLISH: &str = "en";

/// Texts around the values of a mail.
pub(crate) const LABELS: [&str; 33] = [
    "bill_to",
    "continue",
    "discount",
    "due",
    "from_where",
    "gift_message",
    "invoice",
    "merged",
    "more_lines",
    "open_order",
    "our_vat_id",
    "parcel",
    "pay",
    "payment",
    "preferences",
    "questions",
    "refunded",
    "ship_to",
    "shipping",
    "status_cancelled",
    "status_delivered",
    "status_partly_shipped",
    "status_pending",
    "status_shipped",
    "subtotal",
    "tax",
    "tax_included",
    "total",
    "track",
    "unsubscribe",
    "until",
    "when",
    "your_vat_id",
];

type Bundle = FluentBundle<FluentResource>;

/// The texts of one language.
pub(crate) struct Language {
    /// The nearest first: a region's before its language's.
    own: Vec<Arc<Own>>,
    default: Arc<Bundle>,
}

/// The operator's messages: where each one is in the bundle.
struct Own {
    bundle: Bundle,
    ids: BTreeMap<String, BTreeMap<&'static str, String>>,
}

/// The part of a message that has but one.
pub(crate) const WHOLE: &str = "";

impl Language {
    /// Every default language, by its tag.
    pub(crate) fn defaults() -> Result<BTreeMap<String, Self>, String> {
        let read = |(tag, source): &(&str, &str)| {
            let bundle = bundle(tag, (*source).to_owned())?;
            Ok(((*tag).to_owned(), Self { own: Vec::new(), default: Arc::new(bundle) }))
        };
        LOCALES.iter().map(read).collect()
    }

    /// The same texts, for a language or region that the operator begins.
    pub(crate) fn derived_from(other: &Self) -> Self {
        Self { own: other.own.clone(), default: Arc::clone(&other.default) }
    }

    /// Puts the operator's messages before the others.
    pub(crate) fn replace(&mut self, tag: &str, messages: &BTreeMap<String, Message>) -> Result<(), ConfigError> {
        let mut source = String::new();
        let mut ids: BTreeMap<String, BTreeMap<&'static str, String>> = BTreeMap::new();
        for (name, message) in messages {
            let at = format!("/messages/{tag}/{}", escaped(name));
            for (part, pattern) in patterns(name, message, &at)? {
                let at = if part == WHOLE { at.clone() } else { format!("{at}/{part}") };
                // A kind may be called what no identifier may.
                let id = format!("m{}", source.len());
                let entry = format!("{id} =\n    {}\n", pattern.replace('\n', "\n    "));
                variables::check_one(name, &entry).map_err(|e| refuse(&at, e))?;
                source.push_str(&entry);
                ids.entry(name.clone()).or_default().insert(part, id);
            }
        }
        let bundle = bundle(tag, source).map_err(|e| refuse(&format!("/messages/{tag}"), e))?;
        self.own.insert(0, Arc::new(Own { bundle, ids }));
        Ok(())
    }

    /// A text, from the first of these names that has it.
    pub(crate) fn text(&self, names: &[&str], part: &str, args: &FluentArgs<'_>) -> Option<String> {
        names.iter().find_map(|name| self.own(name, part, args).or_else(|| self.default(name, part, args)))
    }

    /// A label around one value.
    pub(crate) fn around<'a>(&self, label: &str, name: &'a str, value: impl Into<FluentValue<'a>>) -> String {
        self.text(&[label], WHOLE, &FluentArgs::from_iter([(name, value)])).unwrap_or_default()
    }

    /// The labels that hold no value, by their names.
    pub(crate) fn labels(&self) -> BTreeMap<&'static str, String> {
        let none = FluentArgs::new();
        let text = |name| (name, self.text(&[name], WHOLE, &none).unwrap_or_default());
        LABELS.into_iter().filter(|name| variables::of(name).is_empty()).map(text).collect()
    }

    fn own(&self, name: &str, part: &str, args: &FluentArgs<'_>) -> Option<String> {
        self.own.iter().find_map(|own| {
            let message = own.bundle.get_message(own.ids.get(name)?.get(part)?)?;
            Some(own.bundle.format_pattern(message.value()?, Some(args), &mut Vec::new()).into_owned())
        })
    }

    fn default(&self, name: &str, part: &str, args: &FluentArgs<'_>) -> Option<String> {
        let message = self.default.get_message(&name.replace('.', "-"))?;
        let pattern = if part == WHOLE { message.value()? } else { message.get_attribute(part)?.value() };
        Some(self.default.format_pattern(pattern, Some(args), &mut Vec::new()).into_owned())
    }
}

/// The parts of a message, each with its pattern.
fn patterns<'a>(name: &str, message: &'a Message, at: &str) -> Result<Vec<(&'static str, &'a str)>, ConfigError> {
    match (message, LABELS.contains(&name)) {
        (Message::Label(pattern), true) => Ok(vec![(WHOLE, pattern)]),
        (Message::Kind(parts), false) => {
            let Parts { subject, preheader, headline, intro, action } = parts;
            let all = [
                ("subject", subject),
                ("preheader", preheader),
                ("headline", headline),
                ("intro", intro),
                ("action", action),
            ];
            Ok(all.into_iter().filter_map(|(part, pattern)| Some((part, pattern.as_deref()?))).collect())
        }
        (Message::Kind(_), true) => Err(refuse(at, "is a label: give its text, not parts")),
        (Message::Label(_), false) => {
            Err(refuse(at, format!("is no label; a kind of mail has parts, labels are {}", LABELS.join(", "))))
        }
    }
}

fn bundle(tag: &str, source: String) -> Result<Bundle, String> {
    let locale = tag.parse().map_err(|e| format!("\"{tag}\" is not a language tag: {e}"))?;
    let mut bundle = Bundle::new_concurrent(vec![locale]);
    // Values come isolated where that matters.
    bundle.set_use_isolating(false);
    let resource = FluentResource::try_new(source).map_err(|(_, errors)| explain(&errors))?;
    bundle.add_resource(resource).map_err(|errors| explain(&errors))?;
    Ok(bundle)
}

/// What is wrong with a text of Fluent.
pub(crate) fn explain(errors: &[impl ToString]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use fluent_bundle::FluentResource;
    use fluent_syntax::ast::{Entry, Expression, PatternElement, VariantKey};
    use intl_pluralrules::{PluralRuleType, PluralRules};
    use unic_langid::LanguageIdentifier;

    use super::{LABELS, LOCALES, Language};
    use crate::config::{Message, Parts};
    use crate::variables;

    /// The patterns of a language by their names ("order-placed.subject"): how each chooses by a number.
    fn patterns(source: &str) -> BTreeMap<String, Vec<BTreeSet<String>>> {
        let resource = FluentResource::try_new(source.to_owned()).expect("Fluent");
        let mut all = BTreeMap::new();
        for entry in resource.entries() {
            let Entry::Message(message) = entry else { continue };
            let value = message.value.iter().map(|pattern| (message.id.name.to_owned(), pattern));
            let parts = message.attributes.iter();
            let parts = parts.map(|part| (format!("{}.{}", message.id.name, part.id.name), &part.value));
            for (name, pattern) in value.chain(parts) {
                let choices = pattern.elements.iter().filter_map(|element| match element {
                    PatternElement::Placeable { expression: Expression::Select { variants, .. } } => {
                        let key = |key: &VariantKey<&str>| match key {
                            VariantKey::Identifier { name } => (*name).to_owned(),
                            VariantKey::NumberLiteral { value } => (*value).to_owned(),
                        };
                        Some(variants.iter().map(|variant| key(&variant.key)).collect())
                    }
                    _ => None,
                });
                assert!(all.insert(name.clone(), choices.collect()).is_none(), "{name} is there twice");
            }
        }
        all
    }

    #[test]
    fn every_language_says_everything() {
        let english = patterns(LOCALES[0].1);
        for (tag, source) in LOCALES {
            let own = patterns(source);
            let (own_names, names) = (own.keys().collect::<BTreeSet<_>>(), english.keys().collect::<BTreeSet<_>>());
            assert_eq!(own_names, names, "{tag}: other messages");
            for name in &LABELS {
                assert!(own.contains_key(*name), "{tag} lacks the label {name}");
            }
        }
        assert!(LABELS.is_sorted(), "the labels' order");
        let kinds = english.keys().filter(|name| !name.contains('.')).count();
        assert_eq!(kinds, LABELS.len(), "a text that is neither a label nor a part of a kind");
    }

    #[test]
    fn every_language_uses_values_that_mails_have() {
        for (tag, source) in LOCALES {
            for message in source.split("\n\n").flat_map(entries) {
                let name = message.split_whitespace().next().expect("a name");
                assert_eq!(variables::check(name, &message), Ok(()), "{tag}: {message}");
            }
        }
    }

    /// Each message of a block of them.
    fn entries(block: &str) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for line in block.lines().filter(|line| !line.starts_with('#')) {
            match all.last_mut() {
                Some(last) if line.starts_with(' ') => last.extend([line, "\n"]),
                _ if line.is_empty() => {}
                _ => all.push(format!("{line}\n")),
            }
        }
        all
    }

    #[test]
    fn every_language_has_its_plurals() {
        for (tag, source) in LOCALES {
            // As Fluent does: the rules of a region are its language's.
            let language: LanguageIdentifier = tag.split('-').next().unwrap_or(tag).parse().expect("a tag");
            let rules = PluralRules::create(language, PluralRuleType::CARDINAL).expect("rules");
            let mut forms: BTreeSet<String> =
                (0..=200_u32).map(|n| format!("{:?}", rules.select(n).expect("a form")).to_lowercase()).collect();
            // Every choice of Fluent has it, and fractions need it.
            forms.insert("other".to_owned());
            for (name, choices) in patterns(source) {
                for choice in choices {
                    assert_eq!(choice, forms, "{tag}: {name}");
                }
            }
        }
    }

    #[test]
    fn what_an_operator_writes_goes_first() {
        let mut all = Language::defaults().expect("Fluent");
        let german = all.get_mut("de").expect("German");
        let parts = Parts {
            subject: Some("Hurra: { $number }\n{ $items ->\n[one] eins\n*[other] viele\n}".to_owned()),
            ..Parts::default()
        };
        let own = BTreeMap::from([
            ("order.placed@merry".to_owned(), Message::Kind(parts)),
            ("total".to_owned(), Message::Label("Zusammen".to_owned())),
        ]);
        german.replace("de", &own).expect("taken");
        let args = fluent_bundle::FluentArgs::from_iter([("number", 7), ("items", 1)]);
        let names = ["order.placed@merry", "order.placed", "order"];
        assert_eq!(german.text(&names, "subject", &args).as_deref(), Some("Hurra: 7\neins"));
        assert!(german.text(&names, "intro", &args).is_some_and(|intro| intro.starts_with("Wir haben")));
        assert_eq!(german.labels()["total"], "Zusammen");
        assert_eq!(german.labels()["subtotal"], "Zwischensumme");
        let mut austrian = Language::derived_from(&all["de"]);
        austrian
            .replace("de-at", &BTreeMap::from([("tax".to_owned(), Message::Label("USt.".to_owned()))]))
            .expect("taken");
        assert_eq!((&*austrian.labels()["tax"], &*austrian.labels()["total"]), ("USt.", "Zusammen"));
        let refused = |name: &str, message: Message| {
            let mut language = Language::derived_from(&all["en"]);
            language.replace("en", &BTreeMap::from([(name.to_owned(), message)])).expect_err("must be refused")
        };
        let error = refused("totl", Message::Label("Sum".to_owned()));
        assert_eq!(error.pointer, "/messages/en/totl");
        assert!(error.message.contains("labels are bill_to, continue"), "{}", error.message);
        let parts = |intro: &str| Message::Kind(Parts { intro: Some(intro.to_owned()), ..Parts::default() });
        assert_eq!(refused("order/x", parts("{ $nummer }")).pointer, "/messages/en/order~1x/intro");
        assert!(refused("order", parts("{ $number")).message.contains("Expected"));
        // What looks like another message is text.
        let mut language = Language::derived_from(&all["en"]);
        language.replace("en", &BTreeMap::from([("order".to_owned(), parts("one\ntotal = two"))])).expect("taken");
        assert_eq!(language.text(&["order"], "intro", &args).as_deref(), Some("one\ntotal = two"));
    }
}
