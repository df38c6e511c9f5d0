use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The operator's config, JSON. Every key may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
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
    /// Replaces templates: language, then kind ("pending", "shipped", "delivered", "cancelled", "updated",
    /// or "base" for the frame around all), then part.
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
    /// The subject line; not for "base".
    pub subject: Option<String>,
    /// The plain text.
    pub text: Option<String>,
    /// The HTML; values are escaped.
    pub html: Option<String>,
}

impl Config {
    /// Reads the JSON text and checks every value; the error names the key.
    pub fn parse(json: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(json).map_err(|e| format!("config: {e}"))?;
        let Colors { accent, background, text } = &config.colors;
        for (key, value) in [("accent", accent), ("background", background), ("text", text)] {
            let hex = value.strip_prefix('#').is_some_and(|h| h.len() == 6 && h.bytes().all(|b| b.is_ascii_hexdigit()));
            if !hex {
                return Err(format!("colors.{key}: \"{value}\" is not a colour such as \"#0f766e\""));
            }
        }
        if let Some(url) = &config.logo_url
            && !url.starts_with("https://")
        {
            return Err(format!("logo_url: \"{url}\" is not an https address"));
        }
        let lines = [
            ("shop_name", &config.shop_name),
            ("from_name", &config.from_name),
            ("reply_to", &config.reply_to),
            ("footer", &config.footer),
        ];
        for (key, value) in lines {
            if value.as_ref().is_some_and(|v| v.trim().is_empty() || v.chars().any(char::is_control)) {
                return Err(format!("{key}: must be one line of text, or left out"));
            }
        }
        if config.reply_to.as_ref().is_some_and(|a| !a.contains('@')) {
            return Err("reply_to: must be an e-mail address".to_owned());
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn errors_name_the_key() {
        let error = |json: &str| Config::parse(json).expect_err("must be refused");
        assert!(error("[").starts_with("config: "));
        assert!(error(r#"{"colour": 1}"#).contains("colour"));
        assert!(error(r#"{"colors": {"accent": "teal"}}"#).starts_with("colors.accent"));
        assert!(error(r#"{"logo_url": "http://x"}"#).starts_with("logo_url"));
        assert!(error(r#"{"from_name": "a\nb"}"#).starts_with("from_name"));
        assert!(error(r#"{"reply_to": "nobody"}"#).starts_with("reply_to"));
        assert!(Config::parse("{}").is_ok());
    }
}
