//! What older versions kept.

use serde_json::{Value, json};
use sqlx::migrate::Migrator;

use crate::app::App;
use crate::database::{Database, Kind};
use crate::harness::tests;

tests! {
    on_each_database {
        older_data_is_migrated
    }
}

async fn older_data_is_migrated(database: Database) {
    let folder = match database.kind {
        Kind::Sqlite => "sqlite",
        kind if kind.speaks_postgres() => "postgres",
        _ => "mysql",
    };
    let all = format!("{}/../migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<_> = std::fs::read_dir(&all).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    let first = database.folder.path().join("first");
    std::fs::create_dir(&first).unwrap();
    std::fs::copy(std::path::Path::new(&all).join(&names[0]), first.join(&names[0])).unwrap();
    let first = Migrator::new(first.as_path()).await.unwrap();
    let created = if database.kind == Kind::Sqlite { "?mode=rwc" } else { "" };
    let pool = format!("{}{created}", database.direct);
    match database.kind {
        Kind::Sqlite => first.run(&sqlx::SqlitePool::connect(&pool).await.unwrap()).await,
        kind if kind.speaks_postgres() => first.run(&sqlx::PgPool::connect(&pool).await.unwrap()).await,
        _ => first.run(&sqlx::MySqlPool::connect(&pool).await.unwrap()).await,
    }
    .unwrap();
    for row in [
        "users (email, password_hash, name, locale, time_zone, attributes, version, created_at, updated_at) values \
         ('old@example.com', 'x', 'Old', 'en', 'UTC', '{}', 1, 1, 1)",
        "products (sku, name, description, category, price_amount, price_currency, stock, attributes, version, \
         created_at, updated_at) values ('OLD', 'Old', '', '', 1, 'USD', 1, '{}', 1, 1, 1)",
        "orders (user_id, version, status, currency, subtotal, discount, tax, shipping, total, payment_method, \
         tracking, attributes, placed_at, updated_at) values (1, 1, 'pending', 'USD', 1, 0, 0, 0, 1, '', '[]', '{}', \
         1, 1)",
        "orders (user_id, version, status, currency, subtotal, discount, tax, shipping, total, payment_method, \
         tracking, attributes, placed_at, updated_at) values (1, 2, 'shipped', 'USD', 3, 0, 0, 0, 3, '', \
         '[{\"carrier\": \"Post\", \"number\": \"1\"}]', '{}', 1, 1)",
        "order_items (order_id, line, product_id, sku, name, quantity, unit_price, total, attributes) values \
         (1, 0, 1, 'OLD', 'Old', 2, 1, 2, '{}')",
        "order_items (order_id, line, product_id, sku, name, quantity, unit_price, total, attributes) values \
         (2, 0, 1, 'OLD', 'Old', 3, 1, 3, '{}')",
        "sessions (user_id, token_hash, created_at, expires_at) values (1, 'x', 1, 1)",
        "notification_states (order_id, order_version, message_id, kind, state, attempts, reason, created_at, \
         completed_at, payload) values (1, 1, 'm', 'order.pending', 'sent', 1, '', 1, 1, 'what it told')",
    ] {
        database.execute(&format!("insert into {row}")).await;
    }
    let is_sqlite = database.kind == Kind::Sqlite;
    if is_sqlite {
        database.execute("analyze").await;
    }
    let app = App::start(database).await;
    if is_sqlite {
        assert_eq!(app.database.number("select count(*) from sqlite_stat1").await, 0);
    }
    let listed = app.client.ok("GET", "/v1/orders?sort=created_at", &app.admin, None).await;
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["total"]["amount"]), (&json!(1), &json!(1)));
    assert_eq!(app.client.ok("GET", "/v1/products/1", "", None).await["sku"], "OLD");
    assert_eq!(app.database.texts("select payload from notification_payloads").await, ["what it told"]);
    // An order that was sent as a whole, and one of which parts can now be sent.
    let sent = &listed["items"][1];
    let (line, parcel) = (&sent["lines"][0], &sent["tracking"][0]);
    let pieces =
        |line: &Value| ["shipped_quantity", "refunded_quantity", "open_quantity"].map(|name| line[name].clone());
    assert_eq!((pieces(line), &parcel["since_version"]), ([json!(3), json!(0), json!(0)], &json!(2)));
    let items = json!([{ "product_id": 1, "quantity": 1 }]);
    let parcel = json!({ "carrier": "Post", "number": "2", "items": items });
    let change = json!({ "status": "partly_shipped", "tracking": [parcel] });
    let partly = app.client.ok("PATCH", "/v1/orders/1/status", &app.admin, Some(change)).await;
    assert_eq!(pieces(&partly["lines"][0]), [json!(1), json!(0), json!(1)]);
    app.order().await;
    app.end().await;
}
