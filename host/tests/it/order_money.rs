//! An order's money after it was placed: paid back, paid, billed, with the tax in it or not, and the mails that tell of it.

use serde_json::json;

use crate::app::{App, newest, sqlite};
use crate::database::Database;
use crate::harness::tests;
use crate::parts::{dollars, item, make, order_of, pieces, refused, stock};

tests! {
    on_each_database {
        money_is_paid_back_once_and_never_more_than_was_paid
        a_payment_fails_and_is_made_up_for
        a_bill_is_attached_and_its_number_is_one_order_s
    }
    once {
        prices_may_have_the_tax_in_them
    }
}

async fn money_is_paid_back_once_and_never_more_than_was_paid(database: Database) {
    let app = App::start(database).await;
    let order = order_of(&app, &[(app.product, 3)]).await;
    assert_eq!(stock(&app, app.product).await, 97);
    let back = json!({ "items": [item(app.product, 1)], "reason": "The handle is broken" });
    let path = format!("/v1/orders/{order}/refunds");
    let key = [("Idempotency-Key", "\"return-1\"")];
    for _ in 0..2 {
        let (status, _, changed) = app.client.with(("POST", &path), &app.admin, &key, Some(back.clone())).await;
        assert_eq!((status, &changed["refunds"][0]["amount"]), (200, &dollars(1_999)), "{changed}");
        assert_eq!((changed["refunds"].as_array().unwrap().len(), pieces(&changed)), (1, vec![[0, 1, 2]]));
    }
    // It was not sent yet.
    assert_eq!(stock(&app, app.product).await, 98);
    app.drain().await;
    let mail = newest(&app);
    assert!(mail.contains("Subject: Money back") && mail.contains("$19.99") && mail.contains("handle"), "{mail}");
    app.change(order, "shipped").await;
    let returned =
        make(&app, order, "POST", "refunds", json!({ "items": [item(app.product, 1)], "restock": true })).await;
    assert_eq!((pieces(&returned), stock(&app, app.product).await), (vec![[2, 2, 0]], json!(99)));
    // Many at once: what is left is paid back once.
    let left = 3 * 1_999 - 2 * 1_999;
    let all = (0..8).map(|_| refused(&app, order, "POST", "refunds", json!({ "amount": dollars(left) })));
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1, "{answers:?}");
    let no = answers.iter().find(|(status, _)| *status != 200).unwrap();
    assert_eq!(
        no,
        &(
            409,
            "at most 0 USD in minor units can be paid back: the rest is paid back already, or was never paid"
                .to_owned()
        )
    );
    app.end().await;
}

async fn a_payment_fails_and_is_made_up_for(database: Database) {
    let app = App::start(database).await;
    let order = order_of(&app, &[(app.product, 2)]).await;
    let link = json!({ "url": "https://pay.example/42", "expires_at": "2030-01-01T00:00:00Z" });
    let failed = json!({ "due": dollars(3_998), "failure": "The card was declined.", "link": link });
    let changed = make(&app, order, "PUT", "payment", failed).await;
    assert_eq!((&changed["payment"]["due"], &changed["payment"]["link"]), (&dollars(3_998), &link));
    app.drain().await;
    let mail = newest(&app);
    for part in ["Subject: Payment for order", "The card was declined.", "https://pay.example/42", "$39.98", "Pay now"]
    {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    let (status, why) = refused(&app, order, "POST", "refunds", json!({ "amount": dollars(1) })).await;
    assert_eq!((status, why.starts_with("at most 0 USD")), (409, true), "{why}");
    let paid = make(&app, order, "PUT", "payment", json!({ "due": dollars(0) })).await;
    assert_eq!(paid["payment"], json!({ "due": dollars(0), "failure": null, "link": null }));
    app.drain().await;
    let mail = newest(&app);
    assert!(mail.contains("Subject: We received your payment for order") && !mail.contains("Still to pay"), "{mail}");
    make(&app, order, "POST", "refunds", json!({ "amount": dollars(1) })).await;
    app.end().await;
}

async fn a_bill_is_attached_and_its_number_is_one_order_s(database: Database) {
    let app = App::start(database).await;
    let (order, other) = (order_of(&app, &[(app.product, 1)]).await, order_of(&app, &[(app.product, 1)]).await);
    let bill = json!({ "number": "2026-000042", "issued_at": "2026-11-29T12:00:00Z", "seller_vat_id": "ATU12345678" });
    let changed = make(&app, order, "PUT", "invoice", bill.clone()).await;
    assert_eq!(
        (&changed["invoice"]["number"], &changed["invoice"]["issued_at"]),
        (&bill["number"], &bill["issued_at"])
    );
    app.drain().await;
    let mail = newest(&app);
    assert!(mail.contains("Subject: Invoice 2026-000042") && mail.contains("application/pdf"), "{mail}");
    let taken = refused(&app, other, "PUT", "invoice", bill.clone()).await;
    assert_eq!(taken, (409, format!("the invoice number is that of order {order}")));
    assert_eq!(app.client.ok("GET", &format!("/v1/orders/{other}"), &app.admin, None).await["version"], 1);
    // The same again changes nothing. Of a corrected one the first number stays taken.
    assert_eq!(make(&app, order, "PUT", "invoice", bill.clone()).await, changed);
    assert_eq!(app.notifications(order).await.as_array().unwrap().len(), 2);
    let corrected = json!({ "number": "2026-000043", "link": { "url": "https://shop.example/i/43.pdf" } });
    make(&app, order, "PUT", "invoice", corrected).await;
    app.drain().await;
    assert!(newest(&app).contains("https://shop.example/i/43.pdf"));
    assert_eq!(refused(&app, other, "PUT", "invoice", bill).await.0, 409);
    app.end().await;
}

async fn prices_may_have_the_tax_in_them() {
    let more = [
        ("PRICING__TAX_BASIS_POINTS", "2000"),
        ("PRICING__TAX_LABEL", "VAT 20 %"),
        ("PRICING__PRICES_INCLUDE_TAX", "true"),
        ("PRICING__SHIPPING_FLAT", "490"),
    ];
    let app = App::with(sqlite().await, &more).await;
    let order = order_of(&app, &[(app.product, 2)]).await;
    let seen = app.client.ok("GET", &format!("/v1/orders/{order}"), &app.customer, None).await;
    // 44.88 of which a sixth is tax.
    let line =
        json!({ "label": "VAT 20 %", "rate_basis_points": 2_000, "net": dollars(3_740), "amount": dollars(748) });
    assert_eq!((&seen["total"], &seen["tax"], &seen["taxes"]), (&dollars(4_488), &dollars(748), &json!([line])));
    assert_eq!(seen["prices_include_tax"], true);
    app.drain().await;
    assert!(newest(&app).contains("Included: VAT 20 %"), "{}", newest(&app));
    let back = make(&app, order, "POST", "refunds", json!({ "items": [item(app.product, 2)] })).await;
    assert_eq!((&back["refunds"][0]["amount"], &back["status"]), (&dollars(4_488), &json!("cancelled")));
    app.end().await;
}
