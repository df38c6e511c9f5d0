use std::collections::BTreeMap;

use fluent_bundle::FluentArgs;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Output, escape_formatter};

use crate::config::{Config, Templates, escaped, refuse, with_wider};
use crate::contract::{Attachment, ConfigError, Email, Notification, Subject};
use crate::format::{Formats, Writer};
use crate::messages::{ENGLISH, Language};
use crate::theme::Theme;
use crate::view::{Labels, Style, View, shop};
use crate::{pdf, structured, variables};

const BASE_TEXT: &str = include_str!("../templates/base.txt");
const BASE_HTML: &str = include_str!("../templates/base.html");

/// Texts and templates parsed, config taken in.
pub struct Renderer {
    environment: Environment<'static>,
    config: Config,
    colors: Value,
    locales: BTreeMap<String, Locale>,
    default_locale: String,
}

/// A language that mails are written in.
struct Locale {
    language: Language,
    labels: Labels,
    /// The templates of a kind of mail, or of all ("base"), by their names.
    templates: BTreeMap<String, Templates>,
}

impl Renderer {
    /// Parses all texts and templates; the error names the one that does not parse.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let theme = Theme::new(&config.colors, &config.dark_colors, config.font.as_deref())?;
        let mut environment = environment();
        for (name, source) in [("base.txt", BASE_TEXT.to_owned()), ("base.html", theme.apply_to(BASE_HTML))] {
            add(&mut environment, name, source).map_err(|e| refuse("", e))?;
        }
        let mut languages = Language::defaults().map_err(|e| refuse("", e))?;
        let mut templates: BTreeMap<String, BTreeMap<String, Templates>> = BTreeMap::new();
        for (tag, messages) in &config.messages {
            language_of(&mut languages, tag).replace(tag, messages)?;
        }
        for (tag, kinds) in &config.templates {
            language_of(&mut languages, tag);
            let wider = with_wider(tag).skip(1).find_map(|tag| templates.get(tag));
            let mut all = wider.cloned().unwrap_or_default();
            for (kind, Templates { text, html }) in parse_templates(&mut environment, &theme, tag, kinds)? {
                let own: &mut Templates = all.entry(kind).or_default();
                (own.text, own.html) = (text.or(own.text.take()), html.or(own.html.take()));
            }
            templates.insert(tag.clone(), all);
        }
        let default_locale = config.default_locale.as_deref().unwrap_or(ENGLISH).to_ascii_lowercase();
        if !languages.contains_key(&default_locale) {
            return Err(refuse("/default_locale", format!("\"{default_locale}\" has no texts")));
        }
        let locale = |(tag, language): (String, Language)| {
            let by_name = language.labels();
            let labels = Labels { value: Value::from(Serde(&by_name)), by_name };
            let templates = with_wider(&tag).find_map(|tag| templates.get(tag)).cloned().unwrap_or_default();
            (tag, Locale { language, labels, templates })
        };
        Ok(Self {
            environment,
            config: config.clone(),
            colors: Value::from(Serde(&theme.light)),
            locales: languages.into_iter().map(locale).collect(),
            default_locale,
        })
    }

    /// Renders the mail in the customer's language.
    pub fn render(&self, n: &Notification, ab_variant: Option<&str>, formats: &dyn Formats) -> Result<Email, String> {
        let (tag, locale) = self.locale(&n.customer.locale);
        let (kind, about) = kind_of(n);
        let variant = ab_variant.map(|variant| format!("{kind}@{variant}"));
        // Whose texts and templates are taken, the nearest first.
        let names: Vec<&str> = variant.as_deref().into_iter().chain([kind, about]).collect();
        // Numbers as in the customer's country, if the mail is in their language.
        let is_theirs = n.customer.locale.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        let writer = Writer {
            formats,
            locale: if is_theirs { &n.customer.locale } else { tag },
            time_zone: &n.customer.time_zone,
        };
        let Locale { language, labels, .. } = locale;
        let is_right_to_left = formats.is_right_to_left(tag);
        let style =
            Style { config: &self.config, tag, is_right_to_left, language, labels, writer, colors: &self.colors };
        let args = variables::args(n, style);
        let text = |part| language.text(&names, part, &args);
        let needed = |part| text(part).ok_or_else(|| format!("there is no {part} of \"{}\"", n.kind));
        let mut view = View::new(n, style, text("action").as_deref());
        view.subject = one_line(&needed("subject")?);
        view.headline = needed("headline")?;
        view.intro = needed("intro")?;
        view.preheader = text("preheader").unwrap_or_else(|| view.intro.clone());
        if let Some(merged) = &mut view.merged {
            for (change, shown) in n.merged.iter().zip(&mut merged.changes) {
                shown.headline = change_of(language, &change.kind, n, &args);
            }
        }
        if let Subject::Order(order) = &n.subject
            && self.config.structured_data
        {
            let placed_at = formats.utc(&order.placed_at);
            let data = structured::of(n, order, shop(n, &self.config), &placed_at);
            view.structured_data = Some(Value::from_safe_string(data));
        }
        let template = |of: fn(&Templates) -> &Option<String>, base| locale.template(&names, of).unwrap_or(base);
        let context = Value::from(Serde(&view));
        let part = |name: &str| {
            let template = self.environment.get_template(name).map_err(|e| explain(name, &e))?;
            template.render(&context).map_err(|e| explain(name, &e))
        };
        Ok(Email {
            text: part(template(|templates| &templates.text, "base.txt"))?,
            html: Some(part(template(|templates| &templates.html, "base.html"))?),
            subject: view.subject,
            from_name: Some(self.config.from_name.clone().unwrap_or_else(|| shop(n, &self.config).to_owned())),
            reply_to: self.config.reply_to.clone(),
            headers: Vec::new(),
            attachments: self.attachments(n, style),
            attributes: Vec::new(),
        })
    }

    fn attachments(&self, n: &Notification, style: Style<'_>) -> Vec<Attachment> {
        let Subject::Order(order) = &n.subject else { return Vec::new() };
        let Some(invoice) = order.invoice.as_ref().filter(|_| n.kind == "order.invoiced" && self.config.attach_invoice)
        else {
            return Vec::new();
        };
        let english = &self.locales[ENGLISH].labels;
        let lines = |writer, labels| pdf::invoice(order, invoice, shop(n, &self.config), writer, labels);
        let own = lines(style.writer, style.labels);
        let in_english = || pdf::document(&lines(Writer { locale: ENGLISH, ..style.writer }, english));
        // Where the font lacks letters of the names as well, it is a text, whose first character says that it is Unicode.
        let (end, content_type, data) = match pdf::document(&own).or_else(in_english) {
            Some(data) => ("pdf", "application/pdf", data),
            None => ("txt", "text/plain", format!("\u{feff}{}\r\n", own.join("\r\n")).into_bytes()),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let number: String = invoice.number.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        vec![Attachment {
            name: format!("{number}.{end}"),
            content_type: content_type.to_owned(),
            content_id: None,
            data,
            attributes: Vec::new(),
        }]
    }

    /// "de-AT" before "de" before the default (RFC 4647 lookup).
    fn locale(&self, tag: &str) -> (&str, &Locale) {
        let tag = tag.to_ascii_lowercase();
        let (tag, locale) = with_wider(&tag)
            .chain([self.default_locale.as_str()])
            .find_map(|tag| self.locales.get_key_value(tag))
            .expect("the default has texts, or the config is refused");
        (tag, locale)
    }
}

impl Locale {
    /// The template that the operator put in the default one's place.
    fn template<'a>(&'a self, names: &[&str], of: fn(&Templates) -> &Option<String>) -> Option<&'a str> {
        names.iter().chain(&["base"]).find_map(|name| of(self.templates.get(*name)?).as_deref())
    }
}

/// The kind whose texts fit a notification, and what it is about.
fn kind_of(n: &Notification) -> (&str, &'static str) {
    let about = match &n.subject {
        Subject::Order(_) => "order",
        Subject::Account(_) => "account",
        Subject::Product(_) => "product",
        Subject::Other(_) => "other",
    };
    let has_invoice = matches!(&n.subject, Subject::Order(order) if order.invoice.is_some());
    (if fits(about, &n.kind, has_invoice) { &n.kind } else { about }, about)
}

/// What an earlier change was, by the subject that its own mail would have had.
fn change_of(language: &Language, kind: &str, n: &Notification, args: &FluentArgs<'_>) -> String {
    // A later contract's mail may merge what is not about an order.
    let Subject::Order(order) = &n.subject else { return kind.to_owned() };
    let of_kind = [kind, "order"];
    let names = if fits("order", kind, order.invoice.is_some()) { &of_kind[..] } else { &of_kind[1..] };
    language.text(names, "subject", args).map_or_else(|| kind.to_owned(), |subject| one_line(&subject))
}

/// Whether the texts of a kind are about what a notification is about, and about what is there.
fn fits(about: &str, kind: &str, has_invoice: bool) -> bool {
    kind.split_once('.').is_some_and(|(of, _)| of == about) && (kind != "order.invoiced" || has_invoice)
}

/// A language, which begins as the one that it is a region of, or as English.
fn language_of<'a>(languages: &'a mut BTreeMap<String, Language>, tag: &str) -> &'a mut Language {
    let nearest = with_wider(tag).find(|nearest| languages.contains_key(*nearest)).unwrap_or(ENGLISH);
    let new = Language::derived_from(&languages[nearest]);
    languages.entry(tag.to_owned()).or_insert(new)
}

/// Parses the operator's templates of a language, and says by which names they are found.
fn parse_templates(
    environment: &mut Environment<'static>,
    theme: &Theme,
    tag: &str,
    kinds: &BTreeMap<String, Templates>,
) -> Result<BTreeMap<String, Templates>, ConfigError> {
    let mut all = BTreeMap::new();
    for (kind, Templates { text, html }) in kinds {
        let mut put = |part: &str, ending: &str, source: &Option<String>| {
            let Some(source) = source else { return Ok(None) };
            let name = format!("{tag}/{kind}.{ending}");
            let at = || format!("/templates/{tag}/{}/{part}", escaped(kind));
            add(environment, &name, theme.apply_to(source)).map_err(|e| refuse(&at(), e))?;
            Ok(Some(name))
        };
        let templates = Templates { text: put("text", "txt", text)?, html: put("html", "html", html)? };
        all.insert(kind.clone(), templates);
    }
    Ok(all)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the default delimiters do not collide"));
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => escape(out, text),
        _ => escape_formatter(out, state, value),
    });
    environment
}

/// What ends a text or an attribute in HTML. The library would write slashes out as well: four bytes more for each of them
/// in every link, and nothing gained.
fn escape(out: &mut Output<'_>, text: &str) -> Result<(), minijinja::Error> {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let entity = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        out.write_str(&text[written..at])?;
        out.write_str(entity)?;
        written = at + 1;
    }
    out.write_str(&text[written..])?;
    Ok(())
}

fn add(environment: &mut Environment<'static>, name: &str, source: String) -> Result<(), String> {
    environment.add_template_owned(name.to_owned(), source).map_err(|e| explain(name, &e))
}

fn explain(name: &str, error: &minijinja::Error) -> String {
    format!("template {name}: {error}")
}

/// Values in a subject may hold line breaks; a header may not.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
