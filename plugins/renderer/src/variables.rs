//! Which values a text may use. One that names another would show it as it is written, in every mail.

use fluent_bundle::{FluentArgs, FluentResource};
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

use crate::contract::{Money, Notification, Subject};
use crate::messages::{LABELS, explain};
use crate::view::order::{new_refunds, status};
use crate::view::{Style, shop};

const NOT_ONE: &str = "is not one text: it is empty, or a line begins with \".\", \"*\" or \"[\", which Fluent takes for \
     something else; write such a character as { \".\" }";

const COMMON: [&str; 3] = ["customer", "shop", "support_email"];
const ORDER: [&str; 10] =
    ["number", "status", "placed_on", "items", "shipped", "item", "total", "refund", "invoice_number", "invoice_on"];
const ACCOUNT: [&str; 2] = ["email", "at"];
const PRODUCT: [&str; 2] = ["product", "price"];

/// The values of a text, by the name of its kind ("order.shipped") or label.
pub(crate) fn of(name: &str) -> Vec<&'static str> {
    let own: &[&str] = match name {
        "tax_included" => return vec!["tax"],
        "merged" | "more_lines" => return vec!["count"],
        "until" => return vec!["date"],
        _ if LABELS.contains(&name) => return Vec::new(),
        _ => match name.split(['.', '@', '-']).next() {
            Some("order") => &ORDER,
            Some("account") => &ACCOUNT,
            Some("product") => &PRODUCT,
            _ => &[],
        },
    };
    COMMON.iter().chain(own).copied().collect()
}

/// The values that texts may use: those of `of`.
pub(crate) fn args<'a>(n: &'a Notification, style: Style<'a>) -> FluentArgs<'a> {
    let Style { labels, writer, .. } = style;
    let mut args = FluentArgs::with_capacity(16);
    args.set("customer", style.isolated(n.customer.name.as_str()));
    args.set("shop", style.isolated(shop(n, style.config)));
    // An address is made a link by mail programs, which might take the marks into it.
    args.set("support_email", n.shop.support_email.as_str());
    match &n.subject {
        Subject::Order(order) => {
            args.set("number", style.isolated(order.number.as_str()));
            args.set("status", style.isolated(status(&order.status, labels)));
            args.set("placed_on", style.isolated(writer.date(&order.placed_at)));
            args.set("items", order.lines.iter().map(|line| u64::from(line.quantity)).sum::<u64>());
            args.set("shipped", order.lines.iter().map(|line| u64::from(line.shipped_quantity)).sum::<u64>());
            args.set("item", style.isolated(order.lines.first().map_or("", |line| line.name.as_str())));
            args.set("total", style.isolated(writer.money(&order.total)));
            let amount = new_refunds(order).fold(0_i64, |sum, refund| sum.saturating_add(refund.amount.amount));
            let refund = new_refunds(order).next().map(|refund| Money { amount, ..refund.amount.clone() });
            args.set("refund", style.isolated(refund.map_or_else(String::new, |refund| writer.money(&refund))));
            let invoice = order.invoice.as_ref();
            args.set("invoice_number", style.isolated(invoice.map_or("", |invoice| invoice.number.as_str())));
            args.set(
                "invoice_on",
                style.isolated(invoice.map_or_else(String::new, |invoice| writer.date(&invoice.issued_at))),
            );
        }
        Subject::Account(account) => {
            args.set("email", account.email.as_str());
            args.set("at", style.isolated(writer.date_and_time(&n.occurred_at)));
        }
        Subject::Product(product) => {
            args.set("product", style.isolated(product.name.as_str()));
            args.set("price", style.isolated(writer.money(&product.price)));
        }
        Subject::Other(_) => {}
    }
    args
}

/// Refuses what is no text of Fluent, or more than one, what uses other values, and what calls functions or other messages.
/// `source` is the text with an identifier.
pub(crate) fn check_one(name: &str, source: &str) -> Result<(), String> {
    let resource = match FluentResource::try_new(source.to_owned()) {
        Ok(resource) => resource,
        // What Fluent itself finds wrong says more, where it is in a placeable.
        Err((_, errors)) if source.contains('{') => return Err(explain(&errors)),
        Err(_) => return Err(NOT_ONE.to_owned()),
    };
    uses(&resource, name)?;
    let is_whole = |entry: &Entry<&str>| matches!(entry, Entry::Message(message) if message.value.is_some() && message.attributes.is_empty());
    let mut entries = resource.entries();
    if entries.next().is_some_and(is_whole) && entries.next().is_none() { Ok(()) } else { Err(NOT_ONE.to_owned()) }
}

/// The same for a message of a default language, which has its parts as attributes.
#[cfg(test)]
pub(crate) fn check(name: &str, source: &str) -> Result<(), String> {
    uses(&FluentResource::try_new(source.to_owned()).map_err(|(_, errors)| explain(&errors))?, name)
}

fn uses(resource: &FluentResource, name: &str) -> Result<(), String> {
    let known = of(name);
    for entry in resource.entries() {
        let Entry::Message(message) = entry else { return Err(NOT_ONE.to_owned()) };
        let patterns = message.value.iter().chain(message.attributes.iter().map(|attribute| &attribute.value));
        patterns.into_iter().try_for_each(|pattern| pattern_uses(pattern, &known))?;
    }
    Ok(())
}

fn pattern_uses(pattern: &Pattern<&str>, known: &[&str]) -> Result<(), String> {
    pattern.elements.iter().try_for_each(|element| match element {
        PatternElement::TextElement { .. } => Ok(()),
        PatternElement::Placeable { expression } => expression_uses(expression, known),
    })
}

fn expression_uses(expression: &Expression<&str>, known: &[&str]) -> Result<(), String> {
    match expression {
        Expression::Inline(inline) => inline_uses(inline, known),
        Expression::Select { selector, variants } => {
            inline_uses(selector, known)?;
            variants.iter().try_for_each(|variant| pattern_uses(&variant.value, known))
        }
    }
}

fn inline_uses(inline: &InlineExpression<&str>, known: &[&str]) -> Result<(), String> {
    match inline {
        InlineExpression::StringLiteral { .. } | InlineExpression::NumberLiteral { .. } => Ok(()),
        InlineExpression::VariableReference { id } if known.contains(&id.name) => Ok(()),
        InlineExpression::VariableReference { id } => {
            let known: Vec<String> = known.iter().map(|name| format!("${name}")).collect();
            if known.is_empty() {
                return Err(format!("${} is not known here; a label has no values", id.name));
            }
            Err(format!("${} is not known here; there are {}", id.name, known.join(", ")))
        }
        InlineExpression::Placeable { expression } => expression_uses(expression, known),
        InlineExpression::FunctionReference { .. }
        | InlineExpression::MessageReference { .. }
        | InlineExpression::TermReference { .. } => {
            Err("may use values only, no functions and no other messages".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{check, check_one};

    #[test]
    fn only_what_a_mail_has_is_taken() {
        let plural = "x = { $items ->\n    [one] one\n   *[other] { $items } of { $customer }\n }\n";
        assert_eq!(check("order.placed@merry", plural), Ok(()));
        let error = |name: &str, source: &str| check(name, source).expect_err("must be refused");
        assert!(
            error("order.placed", "x = { $nummber }\n").contains("$nummber is not known here; there are $customer")
        );
        assert!(error("account.closed", "x = { $number }\n").contains("$email"), "an account has no number");
        assert!(error("order", "x = { $items ->\n   *[other] { $price }\n }\n").contains("$price"));
        assert!(error("order", "x = { NUMBER($items) }\n").contains("no functions"));
        assert!(error("order", "x = { other }\n").contains("no other messages"));
        assert!(error("order", "x = { $number\n").contains("Expected"));
        assert!(error("questions", "x = Ask { $shop }\n").contains("a label has no values"));
        let one = |source: &str| check_one("order", source).expect_err("must be refused");
        for source in ["x =\n", "x =\n    .note = two\n", "x =\n    One\n    .note = two\n", "x =\n    A\n    * b\n"] {
            assert!(one(source).contains("is not one text"), "{source}");
        }
        assert!(one("x = { $number\n").contains("Expected"));
        assert_eq!(check_one("order", "x =\n    A\n    { \"*\" } b\n"), Ok(()));
    }
}
