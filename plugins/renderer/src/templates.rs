//! The default texts.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Parts;

pub(crate) const BASE_TEXT: &str = include_str!("../templates/base.txt");
pub(crate) const BASE_HTML: &str = include_str!("../templates/base.html");

/// The languages that have texts of their own.
const LANGUAGES: [(&str, &str); 2] =
    [("en", include_str!("../templates/en.json")), ("de", include_str!("../templates/de.json"))];

/// A language's texts.
#[derive(Deserialize)]
pub(crate) struct Language {
    /// The words around the values; templates see them as `t`.
    pub(crate) labels: BTreeMap<String, String>,
    /// By kind of notification; "order", "account", "product" and "other" for kinds that have none.
    pub(crate) kinds: BTreeMap<String, Parts>,
}

/// Every language, the first one first.
pub(crate) fn languages() -> Result<Vec<(&'static str, Language)>, String> {
    let read = |(tag, text): (&'static str, &str)| {
        serde_json::from_str(text).map(|language| (tag, language)).map_err(|e| format!("templates/{tag}.json: {e}"))
    };
    LANGUAGES.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::languages;

    #[test]
    fn every_language_says_everything() {
        let languages = languages().expect("readable");
        let (_, english) = &languages[0];
        for (tag, language) in &languages {
            assert!(language.labels.keys().eq(english.labels.keys()), "{tag}: other labels");
            assert!(language.kinds.keys().eq(english.kinds.keys()), "{tag}: other kinds");
            for (kind, parts) in &language.kinds {
                let whole = parts.subject.is_some() && parts.headline.is_some() && parts.intro.is_some();
                assert!(whole, "{tag}: {kind} lacks a part");
                assert_eq!(parts.action.is_some(), english.kinds[kind].action.is_some(), "{tag}: {kind}");
            }
        }
    }
}
