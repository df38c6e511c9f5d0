//! An invoice as a PDF (ISO 32000-1): text in one of the fonts that every reader has (9.6.2.2), and nothing else.

use std::fmt::Write as _;

use crate::contract::{Invoice, Order, TaxLine};
use crate::format::Writer;
use crate::view::Labels;
use crate::view::order::address;

/// A4, in points.
const PAGE: (u32, u32) = (595, 842);
const MARGIN: u32 = 56;
const LINE: u32 = 14;
const LINES_PER_PAGE: usize = ((PAGE.1 - 2 * MARGIN) / LINE) as usize;
/// The width of a line in characters of the font, which are all as wide: 0.6 of its size (Courier).
const COLUMNS: usize = 80;
const SIZE: u32 = 10;

/// The invoice's lines.
pub(crate) fn invoice(
    order: &Order,
    invoice: &Invoice,
    shop: &str,
    writer: Writer<'_>,
    labels: &Labels,
) -> Vec<String> {
    let label = |name| labels.get(name);
    let mut lines = vec![shop.to_owned()];
    if !invoice.seller_vat_id.is_empty() {
        lines.push(format!("{}: {}", label("our_vat_id"), invoice.seller_vat_id));
    }
    lines.extend([String::new(), format!("{} {}", label("invoice"), invoice.number), writer.date(&invoice.issued_at)]);
    lines.push(String::new());
    if let Some(to) = order.bill_to.as_ref().or(order.ship_to.as_ref()) {
        lines.extend(address(to));
    }
    if !invoice.buyer_vat_id.is_empty() {
        lines.push(format!("{}: {}", label("your_vat_id"), invoice.buyer_vat_id));
    }
    lines.push(String::new());
    for line in &order.lines {
        lines.push(columns(&format!("{} x {} ({})", line.quantity, line.name, line.sku), &writer.money(&line.total)));
    }
    lines.push(String::new());
    lines.push(columns(label("subtotal"), &writer.money(&order.subtotal)));
    for discount in &order.discounts {
        lines.push(columns(&discount.label, &writer.less(&discount.amount)));
    }
    if order.discounts.is_empty() && order.discount.amount != 0 {
        lines.push(columns(label("discount"), &writer.less(&order.discount)));
    }
    lines.push(columns(label("shipping"), &writer.money(&order.shipping)));
    let net = |tax: &TaxLine| format!("{} ({})", tax.label, writer.money(&tax.net));
    let mut taxes: Vec<String> = order.taxes.iter().map(|tax| columns(&net(tax), &writer.money(&tax.amount))).collect();
    if taxes.is_empty() && order.tax.amount != 0 {
        taxes.push(columns(label("tax"), &writer.money(&order.tax)));
    }
    let total = columns(label("total"), &writer.money(&order.total));
    // Below the total stands what is in it.
    let sums = if order.prices_include_tax { [vec![total], taxes] } else { [taxes, vec![total]] };
    lines.extend(sums.into_iter().flatten());
    lines
}

/// A document of these lines; none where the font lacks a letter of them.
pub(crate) fn document(lines: &[String]) -> Option<Vec<u8>> {
    lines.iter().flat_map(|line| line.chars()).all(|c| encoded(c).is_some()).then(|| pages(lines))
}

/// Left and right on one line.
fn columns(left: &str, right: &str) -> String {
    let room = COLUMNS.saturating_sub(right.chars().count() + 1);
    let left: String = left.chars().take(room).collect();
    format!("{left:<room$} {right}")
}

/// Pages of lines: catalogue, pages, font, then a page and its content for each.
fn pages(lines: &[String]) -> Vec<u8> {
    let pages: Vec<&[String]> = lines.chunks(LINES_PER_PAGE).collect();
    let kids: Vec<String> = (0..pages.len()).map(|i| format!("{} 0 R", 4 + 2 * i)).collect();
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), pages.len()).into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>".to_vec(),
    ];
    for (i, page) in pages.iter().enumerate() {
        let (width, height) = PAGE;
        let head = format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents {} 0 R \
             /Resources << /Font << /F1 3 0 R >> >> >>",
            5 + 2 * i
        );
        objects.push(head.into_bytes());
        let mut content = format!("BT /F1 {SIZE} Tf {LINE} TL {MARGIN} {} Td\n", height - MARGIN).into_bytes();
        for line in *page {
            content.push(b'(');
            content.extend(line.chars().flat_map(|c| encoded(c).unwrap_or_else(|| vec![b'?'])));
            content.extend(b") Tj T*\n");
        }
        content.extend(b"ET");
        let mut stream = format!("<< /Length {} >>\nstream\n", content.len()).into_bytes();
        stream.extend(content);
        stream.extend(b"\nendstream");
        objects.push(stream);
    }
    file(&objects)
}

/// The objects, and where each begins (ISO 32000-1, 7.5).
fn file(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (i, object) in objects.iter().enumerate() {
        let _ = writeln!(table, "{:010} 00000 n ", file.len());
        file.extend(format!("{} 0 obj\n", i + 1).into_bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let start = file.len();
    let size = objects.len() + 1;
    file.extend(table.into_bytes());
    file.extend(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").into_bytes());
    file
}

/// A character in the font's encoding (ISO 32000-1, annex D.2): Latin 1 and a few more; none where it lacks it.
fn encoded(c: char) -> Option<Vec<u8>> {
    Some(match c {
        '(' | ')' | '\\' => vec![b'\\', c as u8],
        ' '..='~' | '\u{a0}'..='\u{ff}' => vec![c as u8],
        '\u{202f}' => vec![b' '],
        '\u{2212}' => vec![b'-'],
        _ => vec![MORE.iter().find(|(known, _)| *known == c)?.1],
    })
}

/// What the encoding has beside Latin 1.
const MORE: [(char, u8); 16] = [
    ('€', 0x80),
    ('…', 0x85),
    ('Š', 0x8a),
    ('Œ', 0x8c),
    ('Ž', 0x8e),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('š', 0x9a),
    ('œ', 0x9c),
    ('ž', 0x9e),
    ('Ÿ', 0x9f),
];

#[cfg(test)]
mod tests {
    use super::{LINES_PER_PAGE, columns, pages};

    #[test]
    fn every_object_is_where_the_table_says() {
        let lines: Vec<String> = (0..=LINES_PER_PAGE).map(|i| format!("Zeile {i} (ä\\) 5 €")).collect();
        let file = pages(&lines);
        let text = String::from_utf8_lossy(&file);
        assert_eq!(text.matches("/Type /Page ").count(), 2);
        let table = text.split("xref\n").nth(1).expect("a table");
        let offsets: Vec<usize> =
            table.lines().skip(2).map_while(|l| l.strip_suffix(" 00000 n ")?.parse().ok()).collect();
        assert_eq!(offsets.len(), 7);
        for (i, at) in offsets.iter().enumerate() {
            assert!(file[*at..].starts_with(format!("{} 0 obj", i + 1).as_bytes()), "object {}", i + 1);
        }
        assert!(file.windows(10).any(|w| w == b"\\(\xe4\\\\\\) 5 "), "escaped and encoded");
    }

    #[test]
    fn a_long_name_leaves_room_for_the_amount() {
        let line = columns(&"x".repeat(200), "€19.99");
        assert!(line.ends_with(" €19.99") && line.chars().count() == 80);
    }
}
