use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};

use crate::config::{Config, Parts, refuse};
use crate::contract::{Attachment, ConfigError, Email, Notification, Subject};
use crate::format::{Formats, Writer};
use crate::pdf;
use crate::templates::{BASE_HTML, BASE_TEXT, languages};
use crate::view::{Style, View};

/// Templates parsed, config taken in.
pub struct Renderer {
    environment: Environment<'static>,
    config: Config,
    colors: Value,
    languages: BTreeMap<String, Language>,
    default_language: String,
}

/// A language that has templates.
#[derive(Clone)]
struct Language {
    labels: BTreeMap<String, String>,
    /// The same, as templates see it.
    t: Value,
    kinds: BTreeMap<String, Names>,
}

/// The templates of a kind of notification, by their names.
#[derive(Clone)]
struct Names {
    subject: String,
    headline: String,
    intro: String,
    text: String,
    html: String,
    /// The words on the button.
    action: Option<String>,
}

impl Renderer {
    /// Parses all templates; the error names the one that does not parse, and the line.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut this = Self {
            environment: environment(),
            config: config.clone(),
            colors: Value::from(Serde(&config.colors)),
            languages: BTreeMap::new(),
            default_language: config.default_locale.as_deref().unwrap_or("en").to_ascii_lowercase(),
        };
        for (tag, language) in languages().map_err(|e| refuse("", e))? {
            let t = Value::from(Serde(&language.labels));
            this.languages.insert(tag.to_owned(), Language { labels: language.labels, t, kinds: BTreeMap::new() });
            this.replace(tag, &language.kinds).map_err(|e| refuse("", e.message))?;
        }
        for (language, kinds) in &config.templates {
            let tag = language.to_ascii_lowercase();
            if !this.languages.contains_key(&tag) {
                // A new language starts as a copy of English, so that it may be built up part by part.
                let english = this.languages["en"].clone();
                this.languages.insert(tag.clone(), english);
            }
            this.replace(&tag, kinds)?;
        }
        if !this.languages.contains_key(&this.default_language) {
            return Err(refuse("/default_locale", format!("\"{}\" has no templates", this.default_language)));
        }
        Ok(this)
    }

    /// Renders the mail in the customer's language.
    pub fn render(&self, n: &Notification, ab_variant: Option<&str>, formats: &dyn Formats) -> Result<Email, String> {
        let (tag, language) = self.language(&n.customer.locale);
        let names = language.names(n, ab_variant)?;
        // Numbers as in the customer's country, if the mail is in their language.
        let is_theirs = n.customer.locale.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        let locale = if is_theirs { &n.customer.locale } else { tag };
        let writer = Writer { formats, locale, time_zone: &n.customer.time_zone };
        let style = self.style(tag, language, names, writer);
        let mut view = View::new(n, style);
        let bare = Value::from(Serde(&view));
        view.headline = self.part(&names.headline, &bare)?;
        view.intro = self.part(&names.intro, &bare)?;
        for (change, shown) in n.merged.iter().zip(&mut view.merged) {
            // Their subjects tell of an order, which a later contract's mail may lack.
            shown.headline = match n.subject {
                Subject::Order(_) => one_line(&self.part(&language.kind(&change.kind, "order")?.subject, &bare)?),
                _ => change.kind.clone(),
            };
        }
        let subject = one_line(&self.part(&names.subject, &bare)?);
        let context = Value::from(Serde(&view));
        Ok(Email {
            subject,
            text: self.part(&names.text, &context)?,
            html: Some(self.part(&names.html, &context)?),
            from_name: Some(self.config.from_name.clone().unwrap_or_else(|| n.shop.name.clone())),
            reply_to: self.config.reply_to.clone(),
            headers: Vec::new(),
            attachments: self.attachments(n, style),
            attributes: Vec::new(),
        })
    }

    fn part(&self, name: &str, context: &Value) -> Result<String, String> {
        let template = self.environment.get_template(name).map_err(|e| explain(name, &e))?;
        template.render(context).map_err(|e| explain(name, &e))
    }

    fn style<'a>(&'a self, tag: &'a str, language: &'a Language, names: &'a Names, writer: Writer<'a>) -> Style<'a> {
        let label = |key: &str| language.labels.get(key).map_or("", String::as_str);
        Style {
            config: &self.config,
            language: tag,
            writer,
            t: &language.t,
            colors: &self.colors,
            discount: label("discount"),
            tax: label("tax"),
            action: names.action.as_deref().unwrap_or_else(|| label("action")),
        }
    }

    fn attachments(&self, n: &Notification, style: Style<'_>) -> Vec<Attachment> {
        let Subject::Order(order) = &n.subject else { return Vec::new() };
        let Some(invoice) = order.invoice.as_ref().filter(|_| n.kind == "order.invoiced" && self.config.attach_invoice)
        else {
            return Vec::new();
        };
        let label = |key: &str| self.languages[style.language].labels.get(key).map_or("", String::as_str);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let number: String = invoice.number.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        vec![Attachment {
            name: format!("{number}.pdf"),
            content_type: "application/pdf".to_owned(),
            content_id: None,
            data: pdf::invoice(n, order, invoice, style.writer, &label),
            attributes: Vec::new(),
        }]
    }

    /// "de-AT" before "de" before the default (RFC 4647 lookup).
    fn language(&self, locale: &str) -> (&str, &Language) {
        let mut tag: Cow<'_, str> = Cow::Owned(locale.to_ascii_lowercase());
        loop {
            if let Some((tag, language)) = self.languages.get_key_value(tag.as_ref()) {
                return (tag, language);
            }
            match tag.rfind('-') {
                Some(end) => tag.to_mut().truncate(end),
                None if tag == self.default_language => break,
                None => tag = Cow::Borrowed(&self.default_language),
            }
        }
        let (tag, language) = self.languages.iter().next().expect("the defaults hold two languages");
        (tag, language)
    }

    fn replace(&mut self, tag: &str, kinds: &BTreeMap<String, Parts>) -> Result<(), ConfigError> {
        let Some(mut language) = self.languages.remove(tag) else { return Ok(()) };
        for (kind, parts) in kinds {
            let at = |part: &str| format!("/templates/{tag}/{}/{part}", kind.replace('~', "~0").replace('/', "~1"));
            if kind == "base" {
                for (part, name, source) in [("text", "base.txt", &parts.text), ("html", "base.html", &parts.html)] {
                    if let Some(source) = source {
                        self.add(&format!("{tag}/{name}"), source).map_err(|e| refuse(&at(part), e))?;
                    }
                }
                continue;
            }
            // A variant starts as a copy of its kind; a kind of its own is written whole.
            let base = kind.split_once('@').map_or(kind.as_str(), |(kind, _)| kind);
            let mut names = language.kinds.get(kind).or_else(|| language.kinds.get(base)).cloned();
            let names = names.get_or_insert_with(Names::frame);
            let sources = [
                ("subject", "subject", &parts.subject, &mut names.subject),
                ("headline", "headline", &parts.headline, &mut names.headline),
                ("intro", "intro", &parts.intro, &mut names.intro),
                ("text", "txt", &parts.text, &mut names.text),
                ("html", "html", &parts.html, &mut names.html),
            ];
            for (part, ending, source, name) in sources {
                if let Some(source) = source {
                    *name = format!("{tag}/{kind}.{ending}");
                    self.add(name, source).map_err(|e| refuse(&at(part), e))?;
                } else if name.is_empty() {
                    return Err(refuse(&at(part), "must be given for a kind that has no templates yet"));
                }
            }
            names.action = parts.action.clone().or_else(|| names.action.take());
            language.kinds.insert(kind.clone(), names.clone());
        }
        self.languages.insert(tag.to_owned(), language);
        Ok(())
    }

    fn add(&mut self, name: &str, source: &str) -> Result<(), String> {
        self.environment.add_template_owned(name.to_owned(), source.to_owned()).map_err(|e| explain(name, &e))
    }
}

impl Language {
    /// The templates of a notification, by its kind if they fit what it is about.
    fn names(&self, n: &Notification, ab_variant: Option<&str>) -> Result<&Names, String> {
        let about = match &n.subject {
            Subject::Order(_) => "order",
            Subject::Account(_) => "account",
            Subject::Product(_) => "product",
            Subject::Other(_) => "other",
        };
        let lacks_its_invoice = matches!(&n.subject, Subject::Order(order) if order.invoice.is_none());
        let fits = n.kind.split_once('.').is_some_and(|(of, _)| of == about)
            && !(n.kind == "order.invoiced" && lacks_its_invoice);
        let kind = if fits { n.kind.as_str() } else { about };
        let variant = ab_variant.and_then(|variant| self.kinds.get(&format!("{kind}@{variant}")));
        variant.map_or_else(|| self.kind(kind, about), Ok)
    }

    fn kind(&self, kind: &str, otherwise: &str) -> Result<&Names, String> {
        self.kinds.get(kind).or_else(|| self.kinds.get(otherwise)).ok_or_else(|| format!("no templates of \"{kind}\""))
    }
}

impl Names {
    /// Nothing but the frame.
    fn frame() -> Self {
        let none = String::new;
        let (text, html) = ("base.txt".to_owned(), "base.html".to_owned());
        Self { subject: none(), headline: none(), intro: none(), text, html, action: None }
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the default delimiters do not collide"));
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    for (name, source) in [("base.txt", BASE_TEXT), ("base.html", BASE_HTML)] {
        environment.add_template(name, source).expect("the frame parses");
    }
    environment
}

fn explain(name: &str, error: &minijinja::Error) -> String {
    format!("template {name}: {error}")
}

/// Values in a subject may hold line breaks; a header may not.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
