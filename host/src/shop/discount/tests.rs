//! What codes take off, to the last minor unit.

use serde_json::{Value, json};

use super::{Discount, NewDiscount, NotGiven, UnfitDiscount, take_off};
use crate::shop::order::{Change, Order, OrderLine, Pricing, Totals};

fn money(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

fn discount(of: &Value) -> Discount {
    let mut discount = json!({
        "id": 1, "code": "SPRING", "label": "Spring sale", "basis_points": null, "amount": null, "product_ids": [],
        "subtotal_min": null, "starts_at": null, "ends_at": null, "uses_max": null, "uses_per_customer_max": null,
        "uses": 0, "version": 1, "archived_at": null, "created_at": "2026-01-09T23:12:40Z",
        "updated_at": "2026-01-09T23:12:40Z",
    });
    discount.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
    serde_json::from_value(discount).unwrap()
}

/// 3 pieces for 3.33, 2 for 10.01 and one for 0.05.
fn lines() -> Vec<OrderLine> {
    let line = |(product, quantity, price): (i64, i64, i64)| {
        let line = json!({
            "product_id": product, "sku": "A", "name": "Thing", "quantity": quantity, "open_quantity": quantity,
            "unit_price": money(price), "total": money(price * quantity), "url": null, "image": null, "attributes": {},
        });
        serde_json::from_value(line).unwrap()
    };
    [(1, 3, 333), (2, 2, 1_001), (3, 1, 5)].into_iter().map(line).collect()
}

fn totals(lines: &[OrderLine]) -> Vec<(i64, i64)> {
    lines.iter().map(|line| (line.discount.map_or(0, |d| d.amount), line.total.amount)).collect()
}

#[test]
fn parts_and_amounts_are_taken_off_one_after_the_other() {
    let ten = discount(&json!({ "basis_points": 1_000 }));
    let five = discount(&json!({ "id": 2, "code": "FIVE", "amount": money(500) }));
    let much = discount(&json!({ "id": 3, "code": "MUCH", "amount": money(1_000_000) }));
    let sum = 3 * 333 + 2 * 1_001 + 5;
    let off = |all: &[&Discount]| take_off(all, &mut lines()).iter().map(|d| d.amount.amount).collect::<Vec<_>>();
    assert_eq!(off(&[&ten]), [301]);
    assert_eq!(off(&[&five, &ten]), [500, 251], "a tenth of what is left");
    assert_eq!(off(&[&much, &ten]), [sum, 0], "no more than there is");
    assert_eq!(off(&[]), [] as [i64; 0]);
}

#[test]
fn what_is_for_products_is_taken_off_their_lines_and_makes_the_whole() {
    let of = |off: Value| {
        let mut lines = lines();
        let mut terms = json!({ "product_ids": [1, 3, 99] });
        terms.as_object_mut().unwrap().extend(off.as_object().unwrap().clone());
        assert_eq!(take_off(&[&discount(&terms)], &mut lines), []);
        totals(&lines)
    };
    assert_eq!(of(json!({ "basis_points": 1_000 })), [(100, 899), (0, 2_002), (0, 5)]);
    assert_eq!(of(json!({ "amount": money(1_003) })), [(998, 1), (0, 2_002), (5, 0)]);
    assert_eq!(of(json!({ "amount": money(9_999) })), [(999, 0), (0, 2_002), (5, 0)]);
    // First off the lines, then off the order, whichever was given first.
    let (mut lines, all) = (lines(), discount(&json!({ "basis_points": 5_000 })));
    let two = discount(&json!({ "amount": money(2), "product_ids": [2] }));
    let off = take_off(&[&all, &two], &mut lines);
    assert_eq!((totals(&lines)[1], off[0].amount.amount), ((2, 2_000), 1_502));
}

#[test]
fn tax_is_taken_of_what_is_left() {
    let off = take_off(&[&discount(&json!({ "basis_points": 10_000 }))], &mut lines());
    let pricing = Pricing { tax_basis_points: 2_000, shipping_flat: 490, ..Pricing::default() };
    let totals = pricing.totals(&lines(), off, None).unwrap();
    assert_eq!([totals.subtotal, totals.discount, totals.tax, totals.total].map(|m| m.amount), [3_006, 3_006, 98, 588]);
    let off = take_off(&[&discount(&json!({ "amount": money(6) }))], &mut lines());
    let pricing = Pricing { prices_include_tax: true, ..pricing };
    let totals = pricing.totals(&lines(), off, None).unwrap();
    assert_eq!([totals.discount, totals.tax, totals.total].map(|m| m.amount), [6, 582, 3_490]);
}

#[test]
fn what_is_not_given_says_why() {
    let why = |of: Value, by_customer| discount(&of).given(1_000_000, by_customer, &lines()).unwrap_err();
    let code = || "SPRING".to_owned();
    let at = |ms: i64| crate::clock::rfc3339::text(ms);
    assert_eq!(why(json!({ "archived_at": at(1) }), 0), NotGiven::Unknown(code()));
    assert_eq!(why(json!({ "starts_at": at(1_000_001) }), 0), NotGiven::Early(code()));
    assert_eq!(why(json!({ "ends_at": at(1_000_000) }), 0), NotGiven::Over(code()));
    assert_eq!(why(json!({ "uses_max": 7, "uses": 7 }), 0), NotGiven::UsedUp(code()));
    assert_eq!(why(json!({ "uses_per_customer_max": 2 }), 2), NotGiven::UsedByCustomer(code()));
    assert_eq!(why(json!({ "product_ids": [9] }), 0), NotGiven::Products(code()));
    assert_eq!(why(json!({ "amount": { "amount": 1, "currency": "USD" } }), 0), NotGiven::Currency(code()));
    let little = why(json!({ "subtotal_min": money(3_007) }), 0);
    assert_eq!(
        little.to_string(),
        "the discount code \"SPRING\" asks for products of at least 3007 EUR in minor units"
    );
    let fine = json!({
        "starts_at": at(1_000_000), "ends_at": at(1_000_001), "uses_max": 7, "uses": 6, "uses_per_customer_max": 2,
        "product_ids": [9, 3], "subtotal_min": money(3_006), "amount": money(1),
    });
    assert_eq!(discount(&fine).given(1_000_000, 1, &lines()), Ok(()));
}

#[test]
fn terms_that_contradict_themselves_are_refused() {
    let check = |of: Value| {
        let mut new = json!({ "code": "spring-26", "label": "Spring" });
        new.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
        serde_json::from_value::<NewDiscount>(new).map_err(|e| e.to_string()).map(|new| (new.check(), new.code))
    };
    let unfit = |of: Value| check(of).unwrap().0;
    assert_eq!(unfit(json!({})), Err(UnfitDiscount::Off));
    assert_eq!(unfit(json!({ "basis_points": 1, "amount": money(1) })), Err(UnfitDiscount::Off));
    assert_eq!(unfit(json!({ "amount": money(0) })), Err(UnfitDiscount::Nothing));
    let times = json!({ "basis_points": 1, "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z" });
    assert_eq!(unfit(times), Err(UnfitDiscount::Times));
    let currencies = json!({ "amount": money(1), "subtotal_min": { "amount": 1, "currency": "USD" } });
    assert_eq!(unfit(currencies), Err(UnfitDiscount::Currencies));
    let (fits, code) = check(json!({ "basis_points": 10_000.0, "uses_max": 1 })).unwrap();
    assert_eq!((fits, code.as_str()), (Ok(()), "SPRING-26"));
    for wrong in [
        json!({ "basis_points": 0 }),
        json!({ "basis_points": 10_001 }),
        json!({ "uses_max": 0 }),
        json!({ "amount": { "amount": -1, "currency": "EUR" } }),
        json!({ "code": "ab" }),
        json!({ "code": "with space" }),
    ] {
        assert!(check(wrong.clone()).is_err(), "{wrong}");
    }
}

/// Whatever is taken off: pieces that are paid back one by one come to what all of them come to at once.
#[test]
fn pieces_are_paid_back_as_they_were_paid() {
    for seed in 0..500_u64 {
        let mut state = seed;
        let mut pick = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((state >> 33) % n).unwrap()
        };
        let off = |part: bool, much: i64| {
            if part { json!({ "basis_points": 1 + much }) } else { json!({ "amount": money(much) }) }
        };
        let mut of_products = off(pick(2) == 0, pick(3_000));
        of_products["product_ids"] = json!([1, 1 + pick(3)]);
        let (mut lines, all) = (lines(), [discount(&off(pick(2) == 0, pick(4_000))), discount(&of_products)]);
        let before: i64 = lines.iter().map(OrderLine::full_price).sum();
        let taken = take_off(&all.iter().collect::<Vec<_>>(), &mut lines);
        let pricing = Pricing {
            tax_basis_points: 700 * u32::try_from(pick(4)).unwrap(),
            prices_include_tax: pick(2) == 0,
            shipping_flat: pick(500),
            ..Pricing::default()
        };
        let totals = pricing.totals(&lines, taken, None).unwrap();
        let off_lines: i64 = lines.iter().filter_map(|line| line.discount).map(|d| d.amount).sum();
        assert_eq!(totals.subtotal.amount, before - off_lines, "{seed}");
        assert!(totals.discount.amount <= totals.subtotal.amount && totals.total.amount >= 0, "{seed}: {totals:?}");
        let order = shipped(&lines, &totals);
        let pay_back = |order: Order, items: Value| {
            let change = Change::Refund(serde_json::from_value(json!({ "items": items })).unwrap());
            order.change(change, 0).unwrap().unwrap().order
        };
        let piece = |product: i64, quantity: i64| json!([{ "product_id": product, "quantity": quantity }]);
        let mut by_one = order.clone();
        for product in [1, 2, 1, 3, 2, 1] {
            by_one = pay_back(by_one, piece(product, 1));
        }
        let every = json!([piece(1, 3)[0], piece(2, 2)[0], piece(3, 1)[0]]);
        let at_once = pay_back(order, every);
        assert_eq!(by_one.refunded(), at_once.refunded(), "{seed}");
        assert!(at_once.refunded() <= totals.total.amount, "{seed}");
    }
}

fn shipped(lines: &[OrderLine], totals: &Totals) -> Order {
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            let mut line = serde_json::to_value(line).unwrap();
            (line["shipped_quantity"], line["open_quantity"]) = (line["quantity"].clone(), json!(0));
            line
        })
        .collect();
    let order = json!({
        "id": 1, "user_id": 1, "version": 2, "status": "shipped", "lines": lines, "subtotal": totals.subtotal,
        "discount": totals.discount, "discounts": totals.discounts, "tax": totals.tax, "shipping": totals.shipping,
        "prices_include_tax": totals.prices_include_tax, "total": totals.total, "payment_method": "", "ship_to": null,
        "bill_to": null, "tracking": [], "note": null, "attributes": {}, "placed_at": "2026-01-09T23:12:40Z",
        "updated_at": "2026-01-09T23:12:40Z",
    });
    serde_json::from_value(order).unwrap()
}
