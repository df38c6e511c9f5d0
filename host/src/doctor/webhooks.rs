//! Whether the endpoints that hear of all orders take what they are sent. Customers' are their own affair.

use super::{Check, Finding};
use crate::store::Store;

pub(super) async fn examine(store: &Store) -> Finding {
    match store.count_endpoints().await {
        Ok(counts) => finding(&counts),
        Err(e) => Finding::fault(Check::Webhooks, "", e.to_string(), "see the database's log"),
    }
}

fn finding(counts: &[(&str, &str, i64)]) -> Finding {
    let of = |orders: &str, state: &str| {
        counts.iter().filter(|(o, s, _)| *o == orders && *s == state).map(|(.., count)| count).sum::<i64>()
    };
    let all = |orders| ["active", "failing", "paused", "disabled"].map(|state| of(orders, state)).iter().sum::<i64>();
    let (failing, disabled) = (of("all", "failing"), of("all", "disabled"));
    let says = format!("{} endpoints hear of all orders, {} of customers' own", all("all"), all("own"));
    if failing + disabled == 0 {
        return Finding::ok(Check::Webhooks, "", says);
    }
    let says = format!("{says}; of the former {failing} fail and {disabled} are disabled");
    let advice = "`ecomm webhook ls` says which and why; resume what is disabled, then try again what was skipped";
    Finding::warning(Check::Webhooks, "", says, advice)
}

#[cfg(test)]
mod tests {
    use super::finding;
    use crate::doctor::Level;

    #[test]
    fn endpoints_of_the_shop_that_fail_are_told_and_customers_are_not() {
        assert_eq!(finding(&[("all", "active", 2), ("own", "disabled", 7)]).level, Level::Ok);
        let found =
            finding(&[("all", "active", 1), ("all", "failing", 1), ("all", "disabled", 2), ("own", "active", 3)]);
        assert_eq!(found.level, Level::Warning);
        assert!(
            found.says.starts_with("4 endpoints hear of all orders, 3 of customers' own; of the former 1 fail"),
            "{}",
            found.says
        );
    }
}
