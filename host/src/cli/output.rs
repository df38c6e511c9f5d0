//! Lines of columns, as people like to read them.

use std::fmt::Write;

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

pub(super) fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::{fit, lines, row, widths};

    fn cut_to(rows: &[Vec<String>], line: usize) -> String {
        let mut widths = widths(rows);
        fit(&mut widths, line);
        lines(rows, &widths)
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
