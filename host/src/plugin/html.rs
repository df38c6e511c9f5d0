//! What an HTML part holds, as a mail program sees it: elements, words, addresses, and what is wrong with them.

use html5gum::{StartTag, Token, Tokenizer};

/// An HTML part, read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// What is not well-formed.
    pub(crate) problems: Vec<String>,
    /// Every start tag, in order.
    pub(crate) elements: Vec<Element>,
    /// What is shown, with a space where a tag was.
    pub(crate) text: String,
    /// Style sheets and attributes.
    pub(crate) styles: String,
    /// One line for each tag and each text, as deep as it lies.
    pub(crate) outline: String,
}

/// A start tag.
#[derive(Debug)]
pub(crate) struct Element {
    /// In lower case.
    pub(crate) name: String,
    /// Its attributes, in lower case, by name.
    pub(crate) attributes: Vec<(String, String)>,
    /// How to find it: "html > body > table > tr > td".
    pub(crate) path: String,
}

/// HTML Living Standard 13.1.2.
const VOID: [&str; 13] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];

impl Page {
    pub(crate) fn read(html: &str) -> Self {
        let mut page = Self::default();
        let mut open: Vec<String> = Vec::new();
        // How deep the element lies of which nothing is shown.
        let mut hidden: Option<usize> = None;
        let Ok(tokens) = Tokenizer::new(html).collect::<Result<Vec<_>, _>>();
        for token in tokens {
            match token {
                Token::StartTag(tag) => {
                    let depth = open.len();
                    page.begin(&tag, &mut open);
                    let hides = open.len() > depth && page.elements.last().is_some_and(Element::is_hidden);
                    hidden = hidden.or(hides.then_some(depth));
                }
                Token::EndTag(tag) => {
                    let name = lossy(&tag.name);
                    page.text.push(' ');
                    page.line(open.len().saturating_sub(1), &format!("</{name}>"));
                    match open.iter().rposition(|o| *o == name) {
                        Some(at) => {
                            for left in open.drain(at..).skip(1) {
                                page.problems.push(format!("<{left}> is not closed before </{name}>"));
                            }
                        }
                        None => page.problems.push(format!("</{name}> closes nothing")),
                    }
                    hidden = hidden.filter(|depth| open.len() > *depth);
                }
                Token::String(text) => {
                    let text = lossy(&text.value);
                    let shown = text.split_whitespace().collect::<Vec<_>>().join(" ");
                    if !shown.is_empty() {
                        page.line(open.len(), &shown);
                    }
                    match open.last().map(String::as_str) {
                        Some("style") => page.styles.push_str(&text),
                        Some("script" | "title") => {}
                        _ if hidden.is_some() => {}
                        _ => page.text.push_str(&text),
                    }
                }
                Token::Error(error) => {
                    let error = error.value.to_string();
                    // Outlook's conditional comments are meant to be read as comments by all others.
                    if error != "incorrectly-opened-comment" {
                        page.problems.push(error);
                    }
                }
                Token::Comment(_) | Token::Doctype(_) => {}
            }
        }
        page.problems.extend(open.into_iter().map(|left| format!("<{left}> is never closed")));
        page
    }

    fn begin(&mut self, tag: &StartTag<()>, open: &mut Vec<String>) {
        let name = lossy(&tag.name);
        let attributes: Vec<_> =
            tag.attributes.iter().map(|(key, value)| (lossy(key).to_ascii_lowercase(), lossy(&value.value))).collect();
        for (key, value) in &attributes {
            if key == "style" {
                self.styles.push_str(value);
                self.styles.push('\n');
            }
        }
        let written = attributes.iter().fold(name.clone(), |all, (key, value)| format!("{all} {key}=\"{value}\""));
        self.line(open.len(), &format!("<{written}>"));
        let path = open.iter().chain([&name]).map(String::as_str).collect::<Vec<_>>().join(" > ");
        self.text.push(' ');
        self.elements.push(Element { name: name.clone(), attributes, path });
        if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.outline.extend(std::iter::repeat_n("  ", depth));
        self.outline.push_str(text);
        self.outline.push('\n');
    }

    /// Every address that an attribute holds: its element, the attribute, the address.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&Element, &str, &str)> {
        let holds = ["href", "src", "srcset", "background", "poster", "data", "action", "formaction", "xlink:href"];
        self.elements.iter().flat_map(move |element| {
            let attributes = element.attributes.iter().filter(move |(key, _)| holds.contains(&key.as_str()));
            attributes.map(move |(key, value)| (element, key.as_str(), value.trim()))
        })
    }
}

impl Element {
    /// Whether its own style leaves it out of what is shown.
    fn is_hidden(&self) -> bool {
        let styles = self.attributes.iter().filter(|(key, _)| key == "style");
        styles.flat_map(|(_, style)| style.split(';')).any(|declaration| {
            declaration.split_once(':').is_some_and(|(property, value)| {
                property.trim().eq_ignore_ascii_case("display") && value.trim().eq_ignore_ascii_case("none")
            })
        })
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn what_is_not_well_formed_is_said() {
        let problems = |html: &str| Page::read(html).problems.join("; ");
        assert_eq!(problems("<!doctype html><p>A &amp; B<br>C</p><!--[if mso]><p><![endif]-->"), "");
        assert_eq!(problems("<p><b>A</p>"), "<b> is not closed before </p>");
        assert_eq!(problems("<p>A"), "<p> is never closed");
        assert_eq!(problems("A</p>"), "</p> closes nothing");
        assert_eq!(problems("<p a=1 a=2>A</p>"), "duplicate-attribute");
        let page = Page::read("<title>T</title><style>p{}</style><table><td>2</td><td>x&nbsp;y</td></table>");
        assert_eq!(page.text.split_whitespace().collect::<Vec<_>>(), ["2", "x", "y"]);
        assert_eq!(page.styles, "p{}");
        let page =
            Page::read("<p style='color:red; Display: none'>1<br><b>2</b></p>3<i style='display:none'>4</i><b>5</b>");
        assert_eq!(page.text.split_whitespace().collect::<Vec<_>>(), ["3", "5"]);
    }
}
