//! How a text becomes the body of a part (RFC 2045 6). Which bytes come of it is what [`lettre`] makes of it, so that a mail that an
//! earlier release sent can be made again. How differs: lines are copied whole, which takes a third of the time.

use lettre::message::Body;
use lettre::message::header::ContentTransferEncoding;

/// The longest line of quoted-printable, its `=` included (RFC 2045 6.7, rule 5).
const LINE_MAX: usize = 76;

/// The text with the line ends of a mail, in the encoding that makes it shortest: none if it is short lines of ASCII.
pub(super) fn encode(text: &str) -> Body {
    if text.is_ascii() && !has_long_line(text) {
        return Body::dangerous_pre_encoded(with_crlf(text).into_bytes(), ContentTransferEncoding::SevenBit);
    }
    let quoted = text.bytes().filter(|byte| !matches!(byte, b'\t' | b' '..=b'~')).count();
    if quoted > text.len() / 3 {
        // Of two letters in three, as of no language in Latin letters: rare enough.
        let encoded = Body::new_with_encoding(with_crlf(text), ContentTransferEncoding::Base64);
        return encoded.unwrap_or_else(Body::new);
    }
    Body::dangerous_pre_encoded(quoted_printable(text, quoted), ContentTransferEncoding::QuotedPrintable)
}

/// Counted with the line end before it.
fn has_long_line(text: &str) -> bool {
    let mut last = 0;
    for at in memchr::memchr_iter(b'\n', text.as_bytes()) {
        if at - last >= LINE_MAX {
            return true;
        }
        last = at;
    }
    text.len() - last >= LINE_MAX
}

fn with_crlf(text: &str) -> String {
    let mut whole = String::with_capacity(text.len() + text.len() / 32);
    for (n, line) in lines(text).enumerate() {
        if n > 0 {
            whole.push_str("\r\n");
        }
        whole.push_str(line);
    }
    whole
}

/// Without the ends, which are LF or CRLF. What is behind the last end is a line too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let last = text.rfind('\n').map_or(0, |at| at + 1);
    let (ended, last) = text.split_at(last);
    ended.split_terminator('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).chain([last])
}

/// `quoted`: how many bytes are outside printable ASCII, about.
fn quoted_printable(text: &str, quoted: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 16 + 2 * quoted);
    for (n, line) in lines(text).enumerate() {
        if n > 0 {
            out.extend_from_slice(b"\r\n");
        }
        quote_line(line.as_bytes(), &mut out);
    }
    out
}

/// Whether a byte stands for itself (RFC 2045 6.7, rule 2).
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = byte != b'=';
        byte += 1;
    }
    plain[b'\t' as usize] = true;
    plain
};

/// A line, broken by soft line breaks so that none is too long. A line that is full is only broken once more follows: before the last
/// that is on it, since there is no room for the `=`.
fn quote_line(line: &[u8], out: &mut Vec<u8>) {
    // A blank at the end would be lost on the way (rule 3).
    let (mut rest, blank) = match line.split_last() {
        Some((blank @ (b' ' | b'\t'), rest)) => (rest, Some(*blank)),
        _ => (line, None),
    };
    let (mut width, mut last) = (0, 0);
    while !rest.is_empty() {
        let run = rest.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(rest.len());
        let mut plain = &rest[..run];
        while width + plain.len() > LINE_MAX {
            if width == LINE_MAX {
                width = break_before(last, out);
                continue;
            }
            let (fits, more) = plain.split_at(LINE_MAX - 1 - width);
            out.extend_from_slice(fits);
            out.extend_from_slice(b"=\r\n");
            (plain, width) = (more, 0);
        }
        if !plain.is_empty() {
            out.extend_from_slice(plain);
            (width, last) = (width + plain.len(), 1);
        }
        rest = &rest[run..];
        if let Some((byte, more)) = rest.split_first() {
            (width, last, rest) = (quote(*byte, width, last, out), 3, more);
        }
    }
    if let Some(blank) = blank {
        quote(blank, width, last, out);
    }
}

/// A byte in hexadecimal digits; gives the width of the line behind it.
fn quote(byte: u8, mut width: usize, last: usize, out: &mut Vec<u8>) -> usize {
    if width == LINE_MAX {
        width = break_before(last, out);
    } else if width + 3 > LINE_MAX {
        out.extend_from_slice(b"=\r\n");
        width = 0;
    }
    let digit = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
    out.extend_from_slice(&[b'=', digit(byte >> 4), digit(byte & 15)]);
    width + 3
}

/// Breaks the line before its last bytes; gives the width of the new one.
fn break_before(last: usize, out: &mut Vec<u8>) -> usize {
    let at = out.len() - last;
    out.extend_from_slice(b"=\r\n");
    out[at..].rotate_right(3);
    last
}

#[cfg(test)]
mod tests {
    use lettre::message::Body;

    use super::encode;

    fn same_as_the_library(text: &str) {
        let (ours, library) = (encode(text), Body::new(text.to_owned()));
        assert_eq!(ours.encoding(), library.encoding(), "{text:?}");
        let in_words = |body: Body| String::from_utf8(body.into_vec()).unwrap();
        assert_eq!(in_words(ours), in_words(library), "{text:?}");
    }

    #[test]
    fn long_lines_break_where_they_always_did() {
        for length in 70..=80 {
            for end in ["", "\n", "\r\n", " ", "\t", " \n", "=", "é", "é\n", "=\r\n\r\n", " é ", "  \r\n x"] {
                for middle in ["", "é", "=", " ", "\t", "\n"] {
                    let line = "x".repeat(length);
                    same_as_the_library(&format!("{line}{end}"));
                    same_as_the_library(&format!("{line}{middle}{line}{end}"));
                    same_as_the_library(&format!("{middle}{line}{middle}{line}{line}{end}"));
                }
            }
        }
    }

    /// Each number is a text, whose letters are its digits.
    #[test]
    fn texts_become_what_they_always_did() {
        let letters =
            ["\n", "\r\n", " ", "\t", "=", "a", "bcdefghijklmnopqrstuvwxyz0123456789", "ü", "€", "猫猫猫", "📬", "~"];
        for text in ["", "\n", "a", "\r\n\r\n", "猫", "é"] {
            same_as_the_library(text);
        }
        let mut state = 7_u64;
        for length in 0..3_000 {
            let mut text = String::new();
            for _ in 0..length % 40 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(state >> 33).unwrap() % letters.len();
                text.push_str(letters[at]);
            }
            same_as_the_library(&text);
        }
    }
}
