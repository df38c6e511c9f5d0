//! What orders may become.

use serde_json::{Value, json};

use super::{Change, ChangeError, Changed, Kind, Order, Status};

/// Two lines: 3 pieces for 3.33 and 2 for 10.01, 20 % tax, 4.90 shipping.
fn order() -> Order {
    let money = |amount: i64| json!({ "amount": amount, "currency": "EUR" });
    let line = |product: i64, quantity: i64, price: i64| {
        json!({
            "product_id": product, "sku": "A", "name": "Thing", "quantity": quantity, "open_quantity": quantity,
            "unit_price": money(price), "total": money(price * quantity), "url": null, "image": null,
            "attributes": {},
        })
    };
    let (subtotal, shipping) = (3 * 333 + 2 * 1_001, 490);
    let tax = crate::money::share(subtotal + shipping, 2_000).unwrap();
    let order = json!({
        "id": 42, "user_id": 7, "version": 1, "status": "pending", "lines": [line(1, 3, 333), line(2, 2, 1_001)],
        "subtotal": money(subtotal), "discount": money(0), "shipping": money(shipping), "tax": money(tax),
        "total": money(subtotal + shipping + tax), "payment_method": "", "ship_to": null, "bill_to": null,
        "tracking": [], "note": null, "attributes": {}, "placed_at": "2026-01-09T23:12:40Z",
        "updated_at": "2026-01-09T23:12:40Z",
    });
    serde_json::from_value(order).unwrap()
}

fn try_to(order: &Order, change: Change) -> Result<Changed, ChangeError> {
    Ok(order.clone().change(change, 0)?.expect("something changes"))
}

fn to(order: &Order, change: Change) -> Order {
    try_to(order, change).unwrap().order
}

fn status(value: Value) -> Change {
    Change::Status(serde_json::from_value(value).unwrap())
}

fn refund(value: Value) -> Change {
    Change::Refund(serde_json::from_value(value).unwrap())
}

fn payment(value: Value) -> Change {
    Change::Payment(serde_json::from_value(value).unwrap())
}

fn parcel(items: &[(i64, u32)]) -> Value {
    json!({ "carrier": "Post", "number": "1", "items": these(items) })
}

fn these(items: &[(i64, u32)]) -> Value {
    items.iter().map(|(product_id, quantity)| json!({ "product_id": product_id, "quantity": quantity })).collect()
}

fn pieces(order: &Order) -> Vec<[u32; 3]> {
    order.lines.iter().map(|l| [l.shipped_quantity, l.refunded_quantity, l.open_quantity]).collect()
}

fn euros(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

#[test]
fn parcels_take_pieces_until_nothing_is_left() {
    let partly = |items: &[(i64, u32)]| status(json!({ "status": "partly_shipped", "tracking": [parcel(items)] }));
    let one = to(&order(), partly(&[(1, 2)]));
    assert_eq!((one.status, pieces(&one)), (Status::PartlyShipped, vec![[2, 0, 1], [0, 0, 2]]));
    let two = to(&one, partly(&[(2, 1)]));
    assert_eq!(two.tracking.iter().map(|t| t.since_version).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(try_to(&two, partly(&[(1, 2)])).unwrap_err(), ChangeError::Open(1, 1));
    assert_eq!(try_to(&two, partly(&[(3, 1)])).unwrap_err(), ChangeError::Product(3));
    assert_eq!(try_to(&two, partly(&[(1, 1), (2, 1)])).unwrap_err(), ChangeError::NothingLeft);
    let bare = status(json!({ "status": "partly_shipped" }));
    assert_eq!(try_to(&two, bare).unwrap_err(), ChangeError::Contents);
    let too_few = status(json!({ "status": "shipped", "tracking": [parcel(&[(1, 1)])] }));
    assert_eq!(try_to(&two, too_few).unwrap_err(), ChangeError::Left(1, 2));
    let cancelled = status(json!({ "status": "cancelled" }));
    let refused = ChangeError::Move(Status::PartlyShipped, Status::Cancelled);
    assert_eq!(try_to(&two, cancelled).unwrap_err(), refused);
    for rest in [json!([parcel(&[(1, 1), (2, 1)])]), json!([]), json!([{ "carrier": "Post", "number": "1" }])] {
        let all = to(&two, status(json!({ "status": "shipped", "tracking": rest })));
        assert_eq!((all.status, pieces(&all)), (Status::Shipped, vec![[3, 0, 0], [2, 0, 0]]));
    }
}

#[test]
fn pieces_paid_back_one_by_one_make_the_whole_sum() {
    let whole = order();
    let goods = whole.subtotal.amount + crate::money::share(whole.subtotal.amount, 2_000).unwrap();
    for sequence in [[1, 1, 1, 2, 2], [2, 1, 2, 1, 1], [1, 2, 1, 2, 1]] {
        let mut order = to(&whole, status(json!({ "status": "shipped" })));
        for product in sequence {
            order = to(&order, refund(json!({ "items": these(&[(product, 1)]) })));
        }
        assert_eq!(order.refunded(), goods, "{sequence:?}");
        let none = refund(json!({ "items": these(&[(1, 1)]) }));
        assert_eq!(try_to(&order, none).unwrap_err(), ChangeError::Pieces(1, 0));
        // What is left is the shipping and its tax.
        let left = whole.total.amount - goods;
        assert_eq!(left, 588);
        let order = to(&order, refund(json!({ "amount": euros(left) })));
        let more = refund(json!({ "amount": euros(1) }));
        assert_eq!(try_to(&order, more).unwrap_err(), ChangeError::TooMuch(whole.total.with(0)));
    }
}

#[test]
fn pieces_that_were_not_sent_come_back_first_unless_they_are_said_to_be_back() {
    let partly = status(json!({ "status": "partly_shipped", "tracking": [parcel(&[(1, 2)])] }));
    let order = to(&order(), partly);
    let of = |items: &[(i64, u32)], restock: bool| {
        try_to(&order, refund(json!({ "items": these(items), "restock": restock }))).unwrap()
    };
    let unsent = of(&[(1, 2), (2, 2)], false);
    assert_eq!((unsent.order.status, pieces(&unsent.order)), (Status::Shipped, vec![[2, 2, 0], [0, 2, 0]]));
    assert_eq!(unsent.returned, [(1, 1), (2, 2)]);
    let sent = of(&[(1, 2)], true);
    assert_eq!((sent.order.status, pieces(&sent.order)), (Status::PartlyShipped, vec![[2, 2, 1], [0, 0, 2]]));
    assert_eq!(sent.returned, [(1, 2)]);
    let both = of(&[(1, 3)], true);
    assert_eq!((pieces(&both.order)[0], both.returned), ([2, 3, 0], vec![(1, 3)]));
}

#[test]
fn a_refund_never_asks_for_more_than_is_left() {
    let whole = to(&order(), status(json!({ "status": "shipped" })));
    let total = whole.total.amount;
    let goodwill = to(&whole, refund(json!({ "amount": euros(total - 100) })));
    let rest = try_to(&goodwill, refund(json!({ "items": these(&[(1, 3), (2, 2)]) }))).unwrap();
    assert_eq!((rest.order.refunds[1].amount.amount, rest.kind), (100, Kind::Refunded));
    // Without anything to send, the shipping was for nothing too.
    let all = to(&order(), refund(json!({ "items": these(&[(1, 3), (2, 2)]) })));
    assert_eq!((all.refunded(), all.status), (total, Status::Cancelled));
    let cancelled = to(&order(), status(json!({ "status": "cancelled" })));
    let some = to(&cancelled, refund(json!({ "items": these(&[(1, 3)]) })));
    assert!(some.refunded() < total);
    assert_eq!(to(&some, refund(json!({ "items": these(&[(2, 2)]) }))).refunded(), total);
}

#[test]
fn a_payment_came_if_less_is_due() {
    let whole = order();
    let total = whole.total.amount;
    let of = |order: &Order, amount: i64, failure: Value| {
        try_to(order, payment(json!({ "due": euros(amount), "failure": failure }))).unwrap()
    };
    let awaited = of(&whole, total, Value::Null);
    assert_eq!(awaited.kind, Kind::Noted);
    let part = of(&awaited.order, 1_000, Value::Null);
    assert_eq!(part.kind, Kind::PaymentReceived);
    assert_eq!(of(&part.order, 1_000, json!("declined")).kind, Kind::PaymentFailed);
    assert_eq!(of(&part.order, 2_000, Value::Null).kind, Kind::Noted);
    assert_eq!(of(&whole, 0, Value::Null).kind, Kind::PaymentReceived);
    let back = to(&whole, refund(json!({ "amount": euros(5) })));
    assert_eq!(of(&back, total - 5, Value::Null).kind, Kind::Noted);
}

#[test]
fn what_is_said_twice_changes_nothing() {
    let invoice = |value: Value| Change::Invoice(serde_json::from_value(value).unwrap());
    let billed = to(&order(), invoice(json!({ "number": "7" })));
    assert_eq!(billed.clone().change(invoice(json!({ "number": "7" })), i64::MAX).unwrap(), None);
    assert_ne!(billed.clone().change(invoice(json!({ "number": "7", "buyer_vat_id": "X" })), 0).unwrap(), None);
    let due = || payment(json!({ "due": euros(5) }));
    let paid = to(&order(), due());
    assert_eq!(paid.clone().change(due(), 0).unwrap(), None);
    assert_ne!(paid.clone().change(payment(json!({ "due": euros(5), "note": "x" })), 0).unwrap(), None);
    // Also when something else was said in between.
    let noted = Change::Note(serde_json::from_value(json!({ "note": "hello" })).unwrap());
    assert_eq!(to(&paid, noted).change(due(), 0).unwrap(), None);
}

#[test]
fn an_order_of_which_nothing_is_to_be_sent_is_cancelled() {
    let changed = try_to(&order(), refund(json!({ "items": these(&[(1, 3), (2, 1)]) }))).unwrap();
    assert_eq!((changed.order.status, changed.returned), (Status::Pending, vec![(1, 3), (2, 1)]));
    let cancelled = try_to(&changed.order, status(json!({ "status": "cancelled", "cancel_reason": "no" }))).unwrap();
    assert_eq!((pieces(&cancelled.order), cancelled.returned), (vec![[0, 3, 0], [0, 1, 0]], vec![(2, 1)]));
    // Its pieces returned with it, and can be paid back later.
    let later = try_to(&cancelled.order, refund(json!({ "items": these(&[(2, 1)]), "restock": true }))).unwrap();
    assert_eq!((later.order.lines[1].refunded_quantity, later.returned), (2, vec![]));
    let all = to(&order(), refund(json!({ "items": these(&[(1, 3), (2, 2)]) })));
    assert_eq!(all.status, Status::Cancelled);
}

#[test]
fn what_was_never_paid_is_not_paid_back() {
    let whole = order();
    let total = whole.total.amount;
    let failed = to(&whole, payment(json!({ "due": euros(total), "failure": "card declined" })));
    let back = |amount| refund(json!({ "amount": euros(amount) }));
    assert_eq!(try_to(&failed, back(1)).unwrap_err(), ChangeError::TooMuch(whole.total.with(0)));
    // Pieces can be taken back all the same.
    let pieces = try_to(&failed, refund(json!({ "items": these(&[(1, 1)]) }))).unwrap();
    assert_eq!((pieces.kind, pieces.order.refunded(), pieces.returned), (Kind::Noted, 0, vec![(1, 1)]));
    let half = to(&failed, payment(json!({ "due": euros(1_000) })));
    assert_eq!(half.payment.failure, None);
    assert_eq!(try_to(&half, back(total - 999)).unwrap_err(), ChangeError::TooMuch(whole.total.with(total - 1_000)));
    let back = to(&half, back(total - 1_000));
    let due = |amount, failure| try_to(&back, payment(json!({ "due": euros(amount), "failure": failure })));
    assert_eq!(due(1_001, Value::Null).unwrap_err(), ChangeError::Due(whole.total.with(1_000)));
    assert_eq!(due(0, json!("declined")).unwrap_err(), ChangeError::NothingDue);
    let dollars = payment(json!({ "due": { "amount": 1, "currency": "USD" } }));
    assert_eq!(try_to(&back, dollars).unwrap_err(), ChangeError::Currency("EUR".to_owned()));
    let cancelled = to(&whole, status(json!({ "status": "cancelled" })));
    let failed = payment(json!({ "due": euros(1), "failure": "declined" }));
    assert_eq!(try_to(&cancelled, failed).unwrap_err(), ChangeError::Cancelled);
    assert_eq!(try_to(&whole, refund(json!({}))).unwrap_err(), ChangeError::Nothing);
    assert_eq!(try_to(&whole, refund(json!({ "amount": euros(0) }))).unwrap_err(), ChangeError::Zero);
}

/// Random changes, seeded: whatever is refused leaves no trace, and the sums hold after each that is not.
#[test]
fn pieces_and_money_add_up_whatever_happens() {
    for seed in 0..500_u64 {
        let mut state = seed;
        let mut pick = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let (mut order, mut returned, mut taken) = (order(), 0, 0);
        for _ in 0..20 {
            let product = i64::try_from(1 + pick(2)).unwrap();
            let items = [(product, u32::try_from(1 + pick(3)).unwrap())];
            let amount = i64::try_from(pick(2_000)).unwrap();
            let change = match pick(8) {
                0 | 1 => status(json!({ "status": "partly_shipped", "tracking": [parcel(&items)] })),
                2 => status(json!({ "status": "shipped" })),
                3 => status(json!({ "status": "cancelled" })),
                4 => refund(json!({ "items": these(&items), "restock": pick(2) == 0 })),
                5 => refund(json!({ "amount": euros(amount) })),
                6 => payment(json!({ "due": euros(amount) })),
                _ => refund(json!({ "amount": euros(amount), "items": these(&items) })),
            };
            let Ok(Some(changed)) = order.clone().change(change, 0) else { continue };
            taken += 1;
            returned += changed.returned.iter().map(|(_, pieces)| pieces).sum::<i64>();
            assert_eq!(changed.order.version, order.version + 1);
            order = changed.order;
            let due = order.payment.due.map_or(0, |due| due.amount);
            assert!(order.refunded() + due <= order.total.amount, "{seed}: {order:?}");
            for line in &order.lines {
                assert!(line.shipped_quantity + line.open_quantity <= line.quantity, "{seed}: {line:?}");
                assert!(line.refunded_quantity <= line.quantity, "{seed}: {line:?}");
            }
            let open = order.lines.iter().any(|line| line.open_quantity > 0);
            assert_eq!(open, matches!(order.status, Status::Pending | Status::PartlyShipped), "{seed}: {order:?}");
        }
        let pieces: u32 = order.lines.iter().map(|line| line.quantity).sum();
        assert!(returned <= pieces.into() && taken > 0, "{seed}: {returned}");
    }
}

#[test]
fn only_these_moves_are_allowed() {
    let allowed: Vec<String> = Status::ALL
        .iter()
        .flat_map(|a| Status::ALL.iter().filter(|b| a.allows(**b)).map(move |b| format!("{a} {b}")))
        .collect();
    assert_eq!(
        allowed,
        [
            "pending partly_shipped",
            "pending shipped",
            "pending cancelled",
            "partly_shipped partly_shipped",
            "partly_shipped shipped",
            "shipped delivered"
        ]
    );
}
