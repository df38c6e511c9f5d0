//! Colours and type: what of the template does not change from mail to mail, put in when the config is read.

use serde::{Deserialize, Serialize};

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

/// All colours of one scheme.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Colors {
    accent: String,
    on_accent: &'static str,
    background: String,
    on_background: String,
    card: String,
    text: String,
    muted: String,
    border: String,
}

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
            light: Colors::new("/colors", light, LIGHT)?,
            dark: Colors::new("/dark_colors", dark, DARK)?,
            font: font.to_owned(),
        })
    }

    /// The template, with each `[[name]]` replaced.
    pub(crate) fn apply_to(&self, template: &str) -> String {
        let mut template = template.replace("[[font]]", &self.font);
        for (scheme, colors) in [("light", &self.light), ("dark", &self.dark)] {
            let Colors { accent, on_accent, background, on_background, card, text, muted, border } = colors;
            let all = [
                ("accent", accent.as_str()),
                ("on_accent", on_accent),
                ("background", background),
                ("on_background", on_background),
                ("card", card),
                ("text", text),
                ("muted", muted),
                ("border", border),
            ];
            for (name, value) in all {
                template = template.replace(&format!("[[{scheme}.{name}]]"), value);
            }
        }
        template
    }
}

impl Colors {
    fn new(at: &str, palette: &Palette, defaults: [&str; 6]) -> Result<Self, ConfigError> {
        let Palette { accent, background, card, text, muted, border } = palette;
        let is_given = |name| if name == "text" { text.is_some() } else { muted.is_some() };
        let all = [
            ("accent", accent),
            ("background", background),
            ("card", card),
            ("text", text),
            ("muted", muted),
            ("border", border),
        ];
        let mut colors = Vec::with_capacity(all.len());
        for ((name, value), default) in all.into_iter().zip(defaults) {
            let value = value.as_deref().unwrap_or(default);
            let light = luminance(value).ok_or_else(|| {
                refuse(&format!("{at}/{name}"), format!("\"{value}\" is no colour such as \"#0f766e\""))
            })?;
            colors.push((value.to_owned(), light));
        }
        let [accent, background, card, text, muted, border] = <[_; 6]>::try_from(colors).expect("one for each name");
        for (name, ink) in [("text", &text), ("muted", &muted)] {
            let contrast = contrast(ink.1, card.1);
            if contrast < CONTRAST_MIN {
                let (ink, card) = (&ink.0, &card.0);
                let message = format!(
                    "the {name} {ink} on the card {card} has a contrast of {contrast:.1}; people need {CONTRAST_MIN} to read it \
                     (WCAG 2.2, 1.4.3)"
                );
                // Of the two the operator may have given one.
                let key = if palette.card.is_some() && !is_given(name) { "card" } else { name };
                return Err(refuse(&format!("{at}/{key}"), message));
            }
        }
        let black_or_white =
            |behind| if contrast(behind, 1.0) >= contrast(behind, 0.0) { "#ffffff" } else { "#000000" };
        let on_accent = black_or_white(accent.1);
        let is_legible = contrast(muted.1, background.1) >= CONTRAST_MIN;
        let on_background = if is_legible { muted.0.clone() } else { black_or_white(background.1).to_owned() };
        let [accent, background, card, text, muted, border] =
            [accent, background, card, text, muted, border].map(|(value, _)| value);
        Ok(Self { accent, on_accent, background, on_background, card, text, muted, border })
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
        assert_eq!(of(&blue, None).expect("taken").light.on_background, "#ffffff");
        assert_eq!(of(&yellow, None).expect("taken").light.on_accent, "#000000");
    }
}
