use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::{ConfigError, Manifest};

/// The operator's config, JSON. Every key may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Overrides the shop's name in the mail.
    pub shop_name: Option<String>,
    /// The sender's display name; the shop's name when left out.
    pub from_name: Option<String>,
    /// Where answers go; the host's setting when left out.
    pub reply_to: Option<String>,
    /// A closing line under every mail.
    pub footer: Option<String>,
    /// An https address of the shop's logo, shown on top of the HTML.
    pub logo_url: Option<String>,
    /// The colours of the HTML, as `#rrggbb`.
    pub colors: Colors,
    /// The language for customers whose own has no templates: "en" when left out.
    pub default_locale: Option<String>,
    /// Whether the mail of an invoice carries it as a PDF.
    pub attach_invoice: bool,
    /// Replaces templates: by language, then by kind of notification ("order.shipped"; "order.shipped@merry" for the
    /// variant "merry"; "base" for the frame around all), then by part.
    pub templates: BTreeMap<String, BTreeMap<String, Parts>>,
}

/// The colours of the HTML, as `#rrggbb`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Colors {
    /// Headline, buttons and links.
    pub accent: String,
    /// Around the mail's body.
    pub background: String,
    /// Running text.
    pub text: String,
}

impl Default for Colors {
    fn default() -> Self {
        Self { accent: "#0f766e".to_owned(), background: "#f4f4f5".to_owned(), text: "#18181b".to_owned() }
    }
}

/// Template sources (minijinja). A part that is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// The subject line.
    pub subject: Option<String>,
    /// The first line of the mail.
    pub headline: Option<String>,
    /// What follows it.
    pub intro: Option<String>,
    /// The words on the button; not a template.
    pub action: Option<String>,
    /// All of the plain text.
    pub text: Option<String>,
    /// All of the HTML; values are escaped.
    pub html: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shop_name: None,
            from_name: None,
            reply_to: None,
            footer: None,
            logo_url: None,
            colors: Colors::default(),
            default_locale: None,
            attach_invoice: true,
            templates: BTreeMap::new(),
        }
    }
}

/// What the component says of itself.
pub fn manifest() -> Manifest {
    Manifest {
        name: "default-renderer".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "Writes every mail of a shop from minijinja templates, each of which the config may replace."
            .to_owned(),
        locales: vec!["en".to_owned(), "de".to_owned()],
        config_schema: include_str!("../config.schema.json").to_owned(),
        attributes: Vec::new(),
    }
}

pub(crate) fn refuse(pointer: &str, message: impl Into<String>) -> ConfigError {
    ConfigError { pointer: pointer.to_owned(), message: message.into() }
}

impl Config {
    /// Reads the JSON text and checks every value, whether or not the host checked the schema.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(json).map_err(|e| refuse("", e.to_string()))?;
        let Colors { accent, background, text } = &config.colors;
        for (key, value) in [("accent", accent), ("background", background), ("text", text)] {
            let hex = value.strip_prefix('#').is_some_and(|h| h.len() == 6 && h.bytes().all(|b| b.is_ascii_hexdigit()));
            if !hex {
                let message = format!("\"{value}\" is not a colour such as \"#0f766e\"");
                return Err(refuse(&format!("/colors/{key}"), message));
            }
        }
        if let Some(url) = &config.logo_url
            && !url.starts_with("https://")
        {
            return Err(refuse("/logo_url", format!("\"{url}\" is not an https address")));
        }
        let lines = [
            ("/shop_name", &config.shop_name),
            ("/from_name", &config.from_name),
            ("/reply_to", &config.reply_to),
            ("/footer", &config.footer),
        ];
        for (key, value) in lines {
            if value.as_ref().is_some_and(|v| v.trim().is_empty() || v.chars().any(char::is_control)) {
                return Err(refuse(key, "must be one line of text, or left out"));
            }
        }
        if config.reply_to.as_ref().is_some_and(|a| !a.contains('@')) {
            return Err(refuse("/reply_to", "must be an e-mail address"));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn errors_name_the_place() {
        let error = |json: &str| Config::parse(json).expect_err("must be refused");
        assert_eq!(error("[").pointer, "");
        assert!(error(r#"{"colour": 1}"#).message.contains("colour"));
        assert_eq!(error(r#"{"colors": {"accent": "teal"}}"#).pointer, "/colors/accent");
        assert_eq!(error(r#"{"logo_url": "http://x"}"#).pointer, "/logo_url");
        assert_eq!(error(r#"{"from_name": "a\nb"}"#).pointer, "/from_name");
        assert_eq!(error(r#"{"reply_to": "nobody"}"#).pointer, "/reply_to");
        assert!(Config::parse("{}").is_ok());
    }
}
