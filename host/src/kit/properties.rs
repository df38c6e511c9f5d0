//! What holds for every answer, whatever the event. What the host refuses is refused before: `plugin/check.rs`.

use serde::Serialize;
use serde_json::Value;

use super::cases::{ATTRIBUTE, Case, TAG};
use super::project::Expectations;
use crate::notification::report::Reaction;
use crate::notification::{Admission, Verdict};
use crate::plugin::{Email, Output, Page};

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Its name, stable.
    pub property: &'static str,
    /// What was found.
    pub what: String,
}

/// The longest time after which a policy is expected to be asked again, in milliseconds, where `plugin.toml` does not say.
const DELAY_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// The first property that this answer breaks.
pub(super) fn check(case: &Case, output: &Output, expected: &Expectations) -> Option<Broken> {
    match output {
        Output::Email(email) => mail(case, email, expected),
        Output::Admission(Admission::Wait(ms))
        | Output::Verdict(Verdict::Retry(ms, _))
        | Output::Reaction(Reaction::Resend(ms, _)) => delay(*ms, expected),
        Output::Admission(_) | Output::Verdict(_) | Output::Reaction(_) => None,
    }
}

fn broken(property: &'static str, what: impl Into<String>) -> Broken {
    Broken { property, what: what.into() }
}

fn delay(ms: u64, expected: &Expectations) -> Option<Broken> {
    let max = expected.delay_ms_max.unwrap_or(DELAY_MS_MAX);
    if ms > max {
        return Some(broken("delay-in-bounds", format!("{ms} ms are more than {max} ms ([test] delay_ms_max)")));
    }
    None
}

fn mail(case: &Case, email: &Email, expected: &Expectations) -> Option<Broken> {
    let Some(html) = &email.html else { return None };
    let page = Page::read(html);
    let told = serde_json::to_value(&case.event.notification.payload).unwrap_or_default();
    escaped(&page)
        .or_else(|| well_formed(&page))
        .or_else(|| no_active_content(&page))
        .or_else(|| no_remote_content(&page, &told, expected))
        .or_else(|| same_content(&page, &email.text, &told))
}

fn well_formed(page: &Page) -> Option<Broken> {
    Some(broken("html-well-formed", page.problems.first()?.clone()))
}

fn escaped(page: &Page) -> Option<Broken> {
    let injected = page.elements.iter().find(|element| {
        element.name.starts_with(TAG) || element.attributes.iter().any(|(key, _)| key.starts_with(ATTRIBUTE))
    })?;
    Some(broken("html-escaped", format!("a text of the event became HTML: {}", injected.path)))
}

/// What mail programs drop, or warn of.
fn no_active_content(page: &Page) -> Option<Broken> {
    let active = ["script", "iframe", "object", "embed", "applet", "base", "form", "frame", "frameset"];
    for element in &page.elements {
        // Data are not run (HTML Living Standard, 4.12.1).
        let is_data = || element.attributes.iter().any(|(key, value)| key == "type" && value == "application/ld+json");
        if active.contains(&element.name.as_str()) && !(element.name == "script" && is_data()) {
            return Some(broken("no-active-content", format!("<{}> at {}", element.name, element.path)));
        }
        if let Some((key, _)) = element.attributes.iter().find(|(key, _)| key.starts_with("on")) {
            return Some(broken("no-active-content", format!("the attribute {key} at {}", element.path)));
        }
    }
    let is_allowed = |address: &str| {
        let scheme = address.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        address.starts_with('#')
            || address.starts_with("//")
            || scheme.is_some_and(|s| ["http", "https", "mailto", "tel", "cid"].contains(&&*s))
    };
    let (element, key, address) = page.addresses().find(|(_, _, address)| !is_allowed(address))?;
    Some(broken("no-active-content", format!("{key}=\"{address}\" at {} leads nowhere that is safe", element.path)))
}

/// Whatever is fetched when a mail is opened tells its sender that it was opened.
fn no_remote_content(page: &Page, told: &Value, expected: &Expectations) -> Option<Broken> {
    let mut hosts = expected.remote_hosts.clone();
    strings(told, &mut |_, text| hosts.extend(host(text)));
    let fetched = page.addresses().filter(|(element, key, _)| *key != "href" || element.name == "link");
    let fetched = fetched.map(|(element, _, address)| (element.path.as_str(), address));
    let styled =
        page.styles.match_indices("url(").map(|(at, found)| ("a style sheet", &page.styles[at + found.len()..]));
    for (place, address) in fetched.chain(styled) {
        let Some(host) = host(address.trim_start_matches(['"', '\''])) else { continue };
        if !hosts.contains(&host) {
            let what = format!("{place} loads from {host}, which the event does not name ([test] remote_hosts)");
            return Some(broken("no-remote-content", what));
        }
    }
    None
}

/// The host of an address of the web.
fn host(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("//")?;
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http:" | "https:" | "") {
        return None;
    }
    let end = rest.find(['/', '?', '#', '"', '\'', ')', ' ']).unwrap_or(rest.len());
    Some(rest[..end].to_ascii_lowercase())
}

/// What has a digit in it, such as sums, dates and numbers, and every name: in both parts or in none.
fn same_content(page: &Page, text: &str, told: &Value) -> Option<Broken> {
    let addresses: String = page.addresses().flat_map(|(.., address)| [" ", address]).collect();
    let (text, html) = (spaced(text), spaced(&page.text));
    let everywhere = format!("{html} {}", spaced(&addresses));
    if let Some(word) = words(&text).find(|word| !everywhere.contains(*word)) {
        return Some(broken("same-content", format!("\"{word}\" is in the text, and not in the HTML")));
    }
    if let Some(word) = words(&html).find(|word| !text.contains(*word)) {
        return Some(broken("same-content", format!("\"{word}\" is in the HTML, and not in the text")));
    }
    let mut found = None;
    strings(told, &mut |key, name| {
        let name = spaced(name);
        if key == "name" && html.contains(&name) != text.contains(&name) {
            found = found.take().or_else(|| Some(broken("same-content", format!("\"{name}\" is in one part only"))));
        }
    });
    found
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words with a digit, without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let all = text.split(' ').filter(|word| word.contains(|c: char| c.is_ascii_digit()));
    all.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty())
}

/// Every text in a value, with its key.
fn strings(value: &Value, see: &mut impl FnMut(&str, &str)) {
    fn walk(key: &str, value: &Value, see: &mut impl FnMut(&str, &str)) {
        match value {
            Value::String(text) => see(key, text),
            Value::Array(all) => all.iter().for_each(|value| walk(key, value, see)),
            Value::Object(map) => map.iter().for_each(|(key, value)| walk(key, value, see)),
            _ => {}
        }
    }
    walk("", value, see);
}

#[cfg(test)]
mod tests {
    use super::{Broken, mail};
    use crate::kit::cases::Case;
    use crate::kit::project::{Event, Expectations};
    use crate::notification::Payload;
    use crate::plugin::{Email, Question, samples};

    fn found(html: &str, text: &str) -> String {
        let payload = Payload::read(samples()[0].1).unwrap();
        let question = Question::Render { ab_variant: None, seed: 1 };
        let case = Case { event: Event::new("sample".to_owned(), payload), question };
        let email = Email { text: text.to_owned(), html: Some(html.to_owned()), ..Email::default() };
        let expected = Expectations { remote_hosts: vec!["cdn.example".to_owned()], ..Expectations::default() };
        mail(&case, &email, &expected)
            .map_or_else(String::new, |Broken { property, what }| format!("{property}: {what}"))
    }

    #[test]
    fn what_a_mail_must_not_hold_is_found() {
        assert_eq!(
            found(
                "<p>Order 1 of Ada Lovelace: <a href='https://elsewhere.example/2'>€5</a></p>",
                "Order 1: €5 https://elsewhere.example/2, Ada Lovelace"
            ),
            ""
        );
        assert_eq!(found("<p>&bogus</p><b>", "x"), "html-well-formed: <b> is never closed");
        assert_eq!(
            found("<p><x-ecomm></x-ecomm></p>", "x"),
            "html-escaped: a text of the event became HTML: p > x-ecomm"
        );
        assert_eq!(found("<p x-ecomm-attribute=1>A</p>", "A"), "html-escaped: a text of the event became HTML: p");
        assert_eq!(found("<script>1</script>", "1"), "no-active-content: <script> at script");
        assert_eq!(found("<script type='application/ld+json'>{}</script><p>1</p>", "1"), "");
        assert_eq!(found("<script type='module'>1</script>", "1"), "no-active-content: <script> at script");
        assert_eq!(found("<p onclick=a()>A</p>", "A"), "no-active-content: the attribute onclick at p");
        assert_eq!(
            found("<a href='JavaScript:a()'>A</a>", "A"),
            "no-active-content: href=\"JavaScript:a()\" at a leads nowhere that is safe"
        );
        assert_eq!(found("<img src='https://cdn.example/a.png'><img src='https://shop.example/a.png'>", "A"), "");
        assert_eq!(
            found("<img src='//track.example/1'>", "A"),
            "no-remote-content: img loads from track.example, which the event does not name ([test] remote_hosts)"
        );
        assert_eq!(
            found("<p style=\"background: url('http://track.example/')\">A</p>", "A"),
            "no-remote-content: a style sheet loads from track.example, which the event does not name ([test] remote_hosts)"
        );
        assert_eq!(found("<p>Total: €5</p>", "Total: €6"), "same-content: \"6\" is in the text, and not in the HTML");
        assert_eq!(
            found("<p>Total: €5, €6</p>", "Total: €5"),
            "same-content: \"6\" is in the HTML, and not in the text"
        );
        assert_eq!(found("<p>Hello Ada Lovelace</p>", "Hello"), "same-content: \"Ada Lovelace\" is in one part only");
    }
}
