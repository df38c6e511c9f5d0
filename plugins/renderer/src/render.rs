use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};

use crate::config::{Config, Parts};
use crate::contract::{Email, Notification, OrderStatus};
use crate::templates::{BASE_HTML, BASE_TEXT, DEFAULTS, Default, KINDS};
use crate::view::{Fixed, Format, View};

/// Templates parsed, config taken in.
pub struct Renderer {
    environment: Environment<'static>,
    config: Config,
    fixed: Fixed,
    /// The languages that have templates, each with the names of its templates by kind.
    languages: BTreeMap<String, BTreeMap<&'static str, Names>>,
    default_language: String,
}

struct Names {
    subject: String,
    text: String,
    html: String,
}

impl Renderer {
    /// Parses all templates; the error names the one that does not parse, and the line.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mut this = Self {
            environment: environment(),
            config: config.clone(),
            fixed: Fixed::new(config),
            languages: BTreeMap::new(),
            default_language: config.default_locale.as_deref().unwrap_or("en").to_ascii_lowercase(),
        };
        for language in ["en", "de"] {
            this.add_language(language, language)?;
        }
        for (language, kinds) in &config.templates {
            this.replace(&language.to_ascii_lowercase(), kinds)?;
        }
        if !this.languages.contains_key(&this.default_language) {
            return Err(format!("default_locale: \"{}\" has no templates", this.default_language));
        }
        Ok(this)
    }

    /// Renders the mail in the customer's language.
    pub fn render(&self, n: &Notification) -> Result<Email, String> {
        let (language, names) = self.language(&n.customer.locale);
        let format = if language.starts_with("de") { Format::German } else { Format::English };
        let kind = match &n.order.status {
            OrderStatus::Pending => "pending",
            OrderStatus::Shipped => "shipped",
            OrderStatus::Delivered => "delivered",
            OrderStatus::Cancelled => "cancelled",
            OrderStatus::Other(_) => "updated",
        };
        let names = names.get(kind).ok_or_else(|| format!("no template \"{language}/{kind}\""))?;
        let context = Value::from(Serde(View::new(n, &self.config, &self.fixed, format)));
        let part = |name: &str| {
            let template = self.environment.get_template(name).map_err(|e| explain(name, &e))?;
            template.render(&context).map_err(|e| explain(name, &e))
        };
        Ok(Email {
            subject: one_line(&part(&names.subject)?),
            text: part(&names.text)?,
            html: Some(part(&names.html)?),
            from_name: Some(self.config.from_name.clone().unwrap_or_else(|| n.shop.name.clone())),
            reply_to: self.config.reply_to.clone(),
            headers: Vec::new(),
            attachments: Vec::new(),
        })
    }

    /// "de-AT" before "de" before the default (RFC 4647 lookup).
    fn language(&self, locale: &str) -> (&str, &BTreeMap<&'static str, Names>) {
        let mut tag: Cow<'_, str> = Cow::Owned(locale.to_ascii_lowercase());
        loop {
            if let Some((language, names)) = self.languages.get_key_value(tag.as_ref()) {
                return (language, names);
            }
            match tag.rfind('-') {
                Some(end) => tag.to_mut().truncate(end),
                None if tag == self.default_language => break,
                None => tag = Cow::Borrowed(&self.default_language),
            }
        }
        let (language, names) = self.languages.iter().next().expect("the defaults hold two languages");
        (language, names)
    }

    fn replace(&mut self, language: &str, kinds: &BTreeMap<String, Parts>) -> Result<(), String> {
        if !self.languages.contains_key(language) {
            // A new language starts as a copy of English, so that it may be built up part by part.
            self.add_language(language, "en")?;
        }
        for (kind, parts) in kinds {
            if kind != "base" && !KINDS.contains(&kind.as_str()) {
                return Err(format!("templates.{language}.{kind}: no such kind; use base, {}", KINDS.join(", ")));
            }
            if kind == "base" && parts.subject.is_some() {
                return Err(format!("templates.{language}.base.subject: the frame has no subject"));
            }
            let sources = [("subject", &parts.subject), ("txt", &parts.text), ("html", &parts.html)];
            for (part, source) in sources {
                if let Some(source) = source {
                    self.add_part(&format!("{language}/{kind}.{part}"), source)?;
                }
            }
        }
        Ok(())
    }

    fn add_language(&mut self, language: &str, source: &str) -> Result<(), String> {
        self.add_part(&format!("{language}/base.txt"), BASE_TEXT)?;
        self.add_part(&format!("{language}/base.html"), BASE_HTML)?;
        for Default { kind, subject, text, html, .. } in DEFAULTS.iter().filter(|d| d.language == source) {
            let name = |part: &str| format!("{language}/{kind}.{part}");
            let names = Names { subject: name("subject"), text: name("txt"), html: name("html") };
            self.add_part(&names.subject, subject)?;
            self.add_part(&names.text, text)?;
            self.add_part(&names.html, html)?;
            self.languages.entry(language.to_owned()).or_default().insert(kind, names);
        }
        Ok(())
    }

    fn add_part(&mut self, name: &str, source: &str) -> Result<(), String> {
        let frame = name.split_once('/').map_or("", |(language, _)| language);
        // Templates name the frame without its language, so that one text serves all of them.
        let source = source.replace("extends \"base.", &format!("extends \"{frame}/base."));
        self.environment.add_template_owned(name.to_owned(), source).map_err(|e| explain(name, &e))
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the default delimiters do not collide"));
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment
}

fn explain(name: &str, error: &minijinja::Error) -> String {
    format!("template {name}: {error}")
}

/// Values in a subject may hold line breaks; a header may not.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
