//! What people read: lines of columns, and whatever else goes to a terminal.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::{IsTerminal, Write as _};

/// What a cut cell ends with.
const CUT: char = '…';
/// No column becomes narrower than this, in characters.
const WIDTH_MIN: usize = 8;

/// Lines of columns, each as wide as its widest cell.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    lines(rows, &widths(rows))
}

/// A list: the same, cut to the terminal's width where it goes to one.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let mut widths = widths(rows);
    if let Some(width) = terminal_width() {
        fit(&mut widths, width);
    }
    lines(rows, &widths)
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or_default();
    (0..count).map(width).collect()
}

/// Takes from the widest columns what is too much for a line.
fn fit(widths: &mut [usize], line: usize) {
    let gaps = 2 * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > line {
        match widths.iter_mut().max() {
            Some(widest) if *widest > WIDTH_MIN => *widest -= 1,
            _ => return,
        }
    }
}

fn lines(rows: &[Vec<String>], widths: &[usize]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let cell = if cell.chars().count() > *width {
                cell.chars().take(width.saturating_sub(1)).chain([CUT]).collect()
            } else {
                cell.clone()
            };
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// In characters; none where standard output is no terminal.
fn terminal_width() -> Option<usize> {
    #[cfg(unix)]
    {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|width| *width > 0)
    }
    #[cfg(not(unix))]
    None
}

/// JSON, as people like to read it.
pub(super) fn show(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}

/// A reader that has seen enough, such as `head`, is no failure.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    let text = fit_for(&stdout, text);
    match writeln!(stdout, "{}", text.trim_end()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// Says why a command failed.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut stderr = std::io::stderr();
    let text = ecomm::cause::chain(error.as_ref());
    let text = fit_for(&stderr, &text);
    // Nobody is left to be told.
    let _ = writeln!(stderr, "ecomm: {text}");
}

fn fit_for<'t>(stream: &impl IsTerminal, text: &'t str) -> Cow<'t, str> {
    if stream.is_terminal() { inert(text) } else { text.into() }
}

/// A text with what a terminal would obey written out: replies of relays and endpoints, and what components say, are in much that is
/// shown.
fn inert(text: &str) -> Cow<'_, str> {
    let obeys = |c: char| c.is_control() && !"\n\t".contains(c);
    let text = if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { text.into() };
    if !text.contains(obeys) {
        return text;
    }
    let write = |c: char| if obeys(c) { c.escape_default().collect() } else { c.to_string() };
    Cow::Owned(text.chars().map(write).collect())
}

pub(super) fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::{fit, inert, lines, row, widths};

    fn cut_to(rows: &[Vec<String>], line: usize) -> String {
        let mut widths = widths(rows);
        fit(&mut widths, line);
        lines(rows, &widths)
    }

    #[test]
    fn a_terminal_obeys_nothing_that_others_said() {
        assert_eq!(inert("550 \x1b]0;x\x07 no\u{9b}2J\r"), "550 \\u{1b}]0;x\\u{7} no\\u{9b}2J\\r");
        assert_eq!(inert("a\tb\r\nc\n"), "a\tb\nc\n");
    }

    #[test]
    fn the_widest_columns_are_cut_to_the_terminal() {
        let rows = [row(&["ID", "REASON"]), row(&["1", "the relay says that the mailbox is full"])];
        assert_eq!(cut_to(&rows, 80), "ID  REASON\n1   the relay says that the mailbox is full\n");
        assert_eq!(cut_to(&rows, 20), "ID  REASON\n1   the relay says …\n");
        // Not to nothing.
        assert_eq!(cut_to(&rows, 3), "ID  REASON\n1   the rel…\n");
    }
}
