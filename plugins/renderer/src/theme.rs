//! Colours and type: what of the template does not change from mail to mail, put in when the config is read.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::refuse;
use crate::contract::ConfigError;

/// The colours of the HTML, as `#rrggbb`. What is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Palette {
    /// The mail's upper edge and the button. Its label is black or white, whichever is easier to read.
    pub accent: Option<String>,
    /// Around the mail's body.
    pub background: Option<String>,
    /// Behind the mail's body.
    pub card: Option<String>,
    /// Running text and links.
    pub text: Option<String>,
    /// Secondary text. In the footer black or white where it would be hard to read on the background.
    pub muted: Option<String>,
    /// Thin lines.
    pub border: Option<String>,
}

/// All colours of one scheme by their names: those of a palette, and what is read on the accent and on the background.
type Colors = BTreeMap<&'static str, String>;

const LIGHT: [&str; 6] = ["#0f766e", "#f4f4f5", "#ffffff", "#18181b", "#52525b", "#e4e4e7"];
const DARK: [&str; 6] = ["#5eead4", "#18181b", "#27272a", "#fafafa", "#d4d4d8", "#52525b"];

/// WCAG 2.2, 1.4.3: the least contrast of text.
const CONTRAST_MIN: f64 = 4.5;

/// How mails look.
#[derive(Clone, Debug)]
pub(crate) struct Theme {
    pub(crate) light: Colors,
    dark: Colors,
    font: String,
}

/// The fonts that each system has.
const FONT: &str = "-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";

impl Theme {
    pub(crate) fn new(light: &Palette, dark: &Palette, font: Option<&str>) -> Result<Self, ConfigError> {
        let font = font.unwrap_or(FONT);
        let fits = |c: char| c.is_ascii_alphanumeric() || " ,'-".contains(c);
        let is_closed = font.matches('\'').count().is_multiple_of(2);
        if font.trim().is_empty() || !font.chars().all(fits) || !is_closed {
            return Err(refuse("/font", "must be names of fonts with commas between, such as \"Georgia, serif\""));
        }
        Ok(Self {
            light: light.colors("/colors", LIGHT)?,
            dark: dark.colors("/dark_colors", DARK)?,
            font: font.to_owned(),
        })
    }

    /// The template, with each `[[name]]` replaced.
    pub(crate) fn apply_to(&self, template: &str) -> String {
        let mut template = template.replace("[[font]]", &self.font);
        for (scheme, colors) in [("light", &self.light), ("dark", &self.dark)] {
            for (name, value) in colors {
                template = template.replace(&format!("[[{scheme}.{name}]]"), value);
            }
        }
        template
    }
}

impl Palette {
    /// Every colour by its name.
    fn each(&self) -> [(&'static str, Option<&str>); 6] {
        let Self { accent, background, card, text, muted, border } = self;
        [
            ("accent", accent.as_deref()),
            ("background", background.as_deref()),
            ("card", card.as_deref()),
            ("text", text.as_deref()),
            ("muted", muted.as_deref()),
            ("border", border.as_deref()),
        ]
    }

    /// The colours of a scheme, with `defaults` in the order of the names.
    fn colors(&self, at: &str, defaults: [&str; 6]) -> Result<Colors, ConfigError> {
        let mut colors = Colors::new();
        let mut light = BTreeMap::new();
        for ((name, given), default) in self.each().into_iter().zip(defaults) {
            let value = given.unwrap_or(default);
            let luminance = luminance(value).ok_or_else(|| {
                refuse(&format!("{at}/{name}"), format!("\"{value}\" is no colour such as \"#0f766e\""))
            })?;
            light.insert(name, luminance);
            colors.insert(name, value.to_owned());
        }
        for (name, given) in [("text", &self.text), ("muted", &self.muted)] {
            let contrast = contrast(light[name], light["card"]);
            if contrast < CONTRAST_MIN {
                let (ink, card) = (&colors[name], &colors["card"]);
                let message = format!(
                    "the {name} {ink} on the card {card} has a contrast of {contrast:.1}; people need {CONTRAST_MIN} to read it \
                     (WCAG 2.2, 1.4.3)"
                );
                // Of the two the operator may have given one.
                let key = if self.card.is_some() && given.is_none() { "card" } else { name };
                return Err(refuse(&format!("{at}/{key}"), message));
            }
        }
        let black_or_white =
            |behind| if contrast(behind, 1.0) >= contrast(behind, 0.0) { "#ffffff" } else { "#000000" };
        let is_legible = contrast(light["muted"], light["background"]) >= CONTRAST_MIN;
        let on_background = if is_legible { &colors["muted"] } else { black_or_white(light["background"]) };
        let on_background = on_background.to_owned();
        colors.insert("on_background", on_background);
        colors.insert("on_accent", black_or_white(light["accent"]).to_owned());
        Ok(colors)
    }
}

/// How light a colour is, from 0 to 1 (WCAG 2.2, relative luminance); none if it is no colour.
fn luminance(color: &str) -> Option<f64> {
    let hex = color.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).ok()?) / 255.0;
        Some(if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) })
    };
    Some(0.2126 * channel(0)? + 0.7152 * channel(2)? + 0.0722 * channel(4)?)
}

/// From 1, no contrast, to 21 (WCAG 2.2, contrast ratio).
fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::{Palette, Theme, contrast, luminance};

    #[test]
    fn contrast_is_as_in_the_recommendation() {
        let of = |one, other| contrast(luminance(one).expect("a colour"), luminance(other).expect("a colour"));
        assert!((of("#000000", "#ffffff") - 21.0).abs() < 0.001);
        assert!((of("#777777", "#ffffff") - 4.48).abs() < 0.01);
        assert_eq!(luminance("#ä0000"), None);
    }

    #[test]
    fn what_nobody_can_read_is_refused() {
        let of = |light: &Palette, font| Theme::new(light, &Palette::default(), font);
        let grey = Palette { muted: Some("#aaaaaa".to_owned()), ..Palette::default() };
        let error = of(&grey, None).expect_err("must be refused");
        assert_eq!(error.pointer, "/colors/muted");
        assert!(error.message.contains("has a contrast of 2.3"), "{}", error.message);
        assert_eq!(of(&Palette::default(), Some("x;}")).expect_err("must be refused").pointer, "/font");
        let yellow = Palette { accent: Some("#facc15".to_owned()), ..Palette::default() };
        assert_eq!(of(&Palette::default(), Some("Ada's, serif")).expect_err("must be refused").pointer, "/font");
        assert_eq!(of(&Palette::default(), Some(" ")).expect_err("must be refused").pointer, "/font");
        let black = Palette { card: Some("#000000".to_owned()), ..Palette::default() };
        assert_eq!(of(&black, None).expect_err("must be refused").pointer, "/colors/card");
        let blue = Palette { background: Some("#1e3a8a".to_owned()), ..Palette::default() };
        assert_eq!(of(&blue, None).expect("taken").light["on_background"], "#ffffff");
        assert_eq!(of(&yellow, None).expect("taken").light["on_accent"], "#000000");
    }
}
