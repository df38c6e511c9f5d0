use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::{ConfigError, Manifest};
use crate::messages::LOCALES;
use crate::theme::Palette;

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
    /// Legal notice: company, address, register; at most 10 lines.
    pub legal: Option<Vec<String>>,
    /// Links at the end, such as to the imprint and the privacy policy: at most 10.
    pub links: Option<Vec<FooterLink>>,
    /// `footer`, `legal` and `links` of one language or region, by its tag. What is left out is as for the language, or for all.
    pub footers: BTreeMap<String, Footer>,
    /// An https address of the shop's logo, shown on top of the HTML.
    pub logo_url: Option<String>,
    /// The logo in dark mode; the same one when left out.
    pub dark_logo_url: Option<String>,
    /// The colours of the HTML.
    pub colors: Palette,
    /// The colours in dark mode.
    pub dark_colors: Palette,
    /// Names of fonts with commas between; what each system has, when left out.
    pub font: Option<String>,
    /// The language for customers whose own has no texts: "en" when left out.
    pub default_locale: Option<String>,
    /// Whether the mail of an invoice carries it as a PDF.
    pub attach_invoice: bool,
    /// Whether mails about orders carry them as schema.org data, from which mail programs make cards.
    pub structured_data: bool,
    /// The most lines of an order that a mail shows: 1 to 100. It counts the rest.
    pub lines_max: usize,
    /// Replaces texts (Project Fluent): by language, then by label, or by kind of mail ("order.shipped"; "order.shipped@merry"
    /// for the variant "merry") and part.
    pub messages: BTreeMap<String, BTreeMap<String, Message>>,
    /// Replaces the templates around the texts (minijinja): by language, then by kind of mail, or "base" for all.
    pub templates: BTreeMap<String, BTreeMap<String, Templates>>,
}

/// What is at the end of a mail in one language or region.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Footer {
    /// A closing line.
    #[serde(rename = "footer")]
    pub line: Option<String>,
    /// Legal notice.
    pub legal: Option<Vec<String>>,
    /// Links.
    pub links: Option<Vec<FooterLink>>,
}

/// A link at the end of a mail.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FooterLink {
    /// Its words.
    pub label: String,
    /// An https address.
    pub url: String,
}

/// A text, or the texts of a kind of mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Message {
    /// The text of a label.
    Label(String),
    /// The texts of a kind of mail.
    Kind(Parts),
}

/// The texts of a kind of mail. A part that is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// The subject line.
    pub subject: Option<String>,
    /// What lists of mails show behind the subject; the intro when left out.
    pub preheader: Option<String>,
    /// The first line of the mail.
    pub headline: Option<String>,
    /// What follows it.
    pub intro: Option<String>,
    /// The words on the button.
    pub action: Option<String>,
}

/// The templates of a kind of mail (minijinja). One that is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Templates {
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
            legal: None,
            links: None,
            footers: BTreeMap::new(),
            logo_url: None,
            dark_logo_url: None,
            colors: Palette::default(),
            dark_colors: Palette::default(),
            font: None,
            default_locale: None,
            attach_invoice: true,
            structured_data: true,
            lines_max: LINES_SHOWN,
            messages: BTreeMap::new(),
            templates: BTreeMap::new(),
        }
    }
}

/// So many lines of an order leave its mail under 30 kB.
const LINES_SHOWN: usize = 25;
/// The most lines that an order may have.
const LINES_MAX: usize = 100;
/// The most lines, and the most links, at the end of a mail.
const FOOTER_MAX: usize = 10;

/// What the component says of itself.
pub fn manifest() -> Manifest {
    Manifest {
        name: "default-renderer".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description:
            "Writes every mail of a shop in twelve languages; texts, colours and templates can be replaced by its config."
                .to_owned(),
        locales: LOCALES.iter().map(|(tag, _)| (*tag).to_owned()).collect(),
        config_schema: include_str!("../config.schema.json").to_owned(),
        attributes: Vec::new(),
    }
}

pub(crate) fn refuse(pointer: &str, message: impl Into<String>) -> ConfigError {
    ConfigError { pointer: pointer.to_owned(), message: message.into() }
}

fn one_line(at: &str, value: &str) -> Result<(), ConfigError> {
    if value.trim().is_empty() || value.chars().any(char::is_control) {
        return Err(refuse(at, "must be one line of text, or left out"));
    }
    Ok(())
}

fn https(at: &str, url: &str) -> Result<(), ConfigError> {
    if url.starts_with("https://") { Ok(()) } else { Err(refuse(at, format!("\"{url}\" is not an https address"))) }
}

impl Config {
    /// The kinds of mail that have texts or templates of their own, and where.
    fn kinds(&self) -> impl Iterator<Item = (String, &str)> {
        let messages = self.messages.iter().flat_map(|(tag, all)| {
            let kinds = all.iter().filter(|(_, message)| matches!(message, Message::Kind(_)));
            kinds.map(move |(kind, _)| (format!("/messages/{tag}"), kind.as_str()))
        });
        let templates = self.templates.iter();
        let templates =
            templates.flat_map(|(tag, all)| all.keys().map(move |kind| (format!("/templates/{tag}"), kind.as_str())));
        messages.chain(templates)
    }

    /// A part of the footer for a customer's language.
    pub(crate) fn of_footer<'a, T: ?Sized>(
        &'a self,
        locale: &str,
        part: fn(&'a Footer) -> Option<&'a T>,
    ) -> Option<&'a T> {
        let locale = locale.to_ascii_lowercase();
        with_wider(&locale).find_map(|tag| self.footers.get(tag).and_then(part))
    }

    /// Reads the JSON text and checks every value but colours, texts and templates, whether or not the host checked the schema.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        let mut config: Self = serde_json::from_str(json).map_err(|e| refuse("", e.to_string()))?;
        config.footers = by_tag("/footers", config.footers)?;
        config.messages = by_tag("/messages", config.messages)?;
        config.templates = by_tag("/templates", config.templates)?;
        for (at, kind) in config.kinds() {
            let about = kind.split(['.', '@']).next().unwrap_or_default();
            if !["order", "account", "product", "other", "base"].contains(&about) {
                let message = "is no kind of mail: those begin with order, account, product or other";
                return Err(refuse(&format!("{at}/{}", escaped(kind)), message));
            }
        }
        for (at, url) in [("/logo_url", &config.logo_url), ("/dark_logo_url", &config.dark_logo_url)] {
            url.as_deref().map_or(Ok(()), |url| https(at, url))?;
        }
        let lines =
            [("/shop_name", &config.shop_name), ("/from_name", &config.from_name), ("/reply_to", &config.reply_to)];
        for (at, value) in lines {
            value.as_deref().map_or(Ok(()), |value| one_line(at, value))?;
        }
        if config.reply_to.as_ref().is_some_and(|a| !a.contains('@')) {
            return Err(refuse("/reply_to", "must be an e-mail address"));
        }
        if !(1..=LINES_MAX).contains(&config.lines_max) {
            return Err(refuse("/lines_max", format!("must be 1 to {LINES_MAX}")));
        }
        check_footer("", config.footer.as_deref(), config.legal.as_deref(), config.links.as_deref())?;
        for (tag, Footer { line: footer, legal, links }) in &config.footers {
            check_footer(&format!("/footers/{tag}"), footer.as_deref(), legal.as_deref(), links.as_deref())?;
        }
        Ok(config)
    }
}

/// By tags in lower case, as customers' languages are looked up; a language comes before its regions.
fn by_tag<V>(at: &str, all: BTreeMap<String, V>) -> Result<BTreeMap<String, V>, ConfigError> {
    let mut lower = BTreeMap::new();
    for (tag, value) in all {
        let at = format!("{at}/{}", escaped(&tag));
        let is_subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        if !tag.split('-').all(is_subtag) {
            return Err(refuse(&at, "is not a language tag such as \"de\" or \"pt-BR\" (BCP 47)"));
        }
        if lower.insert(tag.to_ascii_lowercase(), value).is_some() {
            return Err(refuse(&at, "is there twice, in upper and lower case"));
        }
    }
    Ok(lower)
}

/// A key in a JSON Pointer (RFC 6901, 3).
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A language tag and those that it is more exact than, the most exact first (RFC 4647, lookup).
pub(crate) fn with_wider(tag: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(tag), |tag| tag.rfind('-').map(|end| &tag[..end]))
}

fn check_footer(
    at: &str,
    footer: Option<&str>,
    legal: Option<&[String]>,
    links: Option<&[FooterLink]>,
) -> Result<(), ConfigError> {
    footer.map_or(Ok(()), |footer| one_line(&format!("{at}/footer"), footer))?;
    let (legal, links) = (legal.unwrap_or_default(), links.unwrap_or_default());
    for (name, count) in [("legal", legal.len()), ("links", links.len())] {
        if count > FOOTER_MAX {
            return Err(refuse(&format!("{at}/{name}"), format!("may have {FOOTER_MAX} entries")));
        }
    }
    for (n, line) in legal.iter().enumerate() {
        one_line(&format!("{at}/legal/{n}"), line)?;
    }
    for (n, FooterLink { label, url }) in links.iter().enumerate() {
        one_line(&format!("{at}/links/{n}/label"), label)?;
        https(&format!("{at}/links/{n}/url"), url)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn errors_name_the_place() {
        let error = |json: &str| Config::parse(json).expect_err("must be refused");
        assert_eq!(error("[").pointer, "");
        assert!(error(r#"{"colour": 1}"#).message.contains("colour"));
        assert!(error(r#"{"colors": {"ink": ""}}"#).message.contains("ink"));
        assert_eq!(error(r#"{"logo_url": "http://x"}"#).pointer, "/logo_url");
        assert_eq!(error(r#"{"from_name": "a\nb"}"#).pointer, "/from_name");
        assert_eq!(error(r#"{"reply_to": "nobody"}"#).pointer, "/reply_to");
        assert_eq!(error(r#"{"lines_max": 0}"#).pointer, "/lines_max");
        assert_eq!(error(r#"{"lines_max": 101}"#).pointer, "/lines_max");
        assert_eq!(error(r#"{"legal": ["a", ""]}"#).pointer, "/legal/1");
        assert_eq!(error(r#"{"footers": {"de": {"footer": " "}}}"#).pointer, "/footers/de/footer");
        let link = r#"{"links": [{"label": "Imprint", "url": "javascript:alert(1)"}]}"#;
        assert_eq!(error(link).pointer, "/links/0/url");
        let many = format!(r#"{{"legal": [{}"a"]}}"#, r#""a","#.repeat(10));
        assert_eq!(error(&many).pointer, "/legal");
        assert_eq!(error(r#"{"messages": {"pt_BR": {}}}"#).pointer, "/messages/pt_BR");
        assert!(error(r#"{"footers": {"de": {}, "DE": {}}}"#).message.contains("twice"));
        assert_eq!(error(r#"{"templates": {"de": {"shipped": {}}}}"#).pointer, "/templates/de/shipped");
        assert_eq!(error(r#"{"messages": {"de": {"Order.shipped": {}}}}"#).pointer, "/messages/de/Order.shipped");
        assert!(Config::parse("{}").is_ok());
    }
}
