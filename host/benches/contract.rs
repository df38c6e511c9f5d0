//! The contract's records, for the two generated copies of them that the measurements hold.

macro_rules! convert {
    ($name:ident, $types:path) => {
        pub(crate) mod $name {
            use ecomm::money::Money;
            use ecomm::notification::Payload;
            use ecomm::notification::subject::order::{Address, OrderLine};
            use $types as t;

            pub(crate) fn notification(p: &Payload) -> t::Notification {
                t::Notification {
                    id: 1,
                    kind: p.kind.clone(),
                    category: t::Category::Transactional,
                    message_id: "1@shop.example".to_owned(),
                    occurred_at: moment(p.occurred_at),
                    shop: t::Shop {
                        name: p.shop.name.clone(),
                        url: p.shop.url.clone(),
                        support_email: p.shop.support_email.clone(),
                        attributes: Vec::new(),
                    },
                    customer: t::Customer {
                        id: 1,
                        name: p.customer.name.as_str().to_owned(),
                        email: p.customer.email.as_str().to_owned(),
                        locale: "en".to_owned(),
                        time_zone: "Europe/London".to_owned(),
                        attributes: Vec::new(),
                    },
                    subject: t::Subject::Order(order(p)),
                    merged: Vec::new(),
                    unsubscribe_url: None,
                    preferences_url: None,
                    attributes: Vec::new(),
                }
            }

            fn order(p: &Payload) -> t::Order {
                let o = p.order().expect("an order");
                t::Order {
                    id: unsigned(o.id),
                    number: o.number.clone(),
                    version: 1,
                    status: t::OrderStatus::Pending,
                    previous_status: None,
                    placed_at: moment(o.placed_at),
                    lines: (1..).zip(&o.lines).map(|(number, l)| line(number, l)).collect(),
                    subtotal: money(&o.subtotal),
                    discounts: Vec::new(),
                    discount: money(&o.discount),
                    shipping: money(&o.shipping),
                    taxes: Vec::new(),
                    tax: money(&o.tax),
                    prices_include_tax: false,
                    total: money(&o.total),
                    payment: t::Payment {
                        method: "card".to_owned(),
                        due: None,
                        link: None,
                        failure: None,
                        attributes: Vec::new(),
                    },
                    ship_to: o.ship_to.as_ref().map(address),
                    bill_to: None,
                    shipments: Vec::new(),
                    refunds: Vec::new(),
                    invoice: None,
                    gift_message: None,
                    note: None,
                    cancel_reason: None,
                    url: None,
                    attributes: Vec::new(),
                }
            }

            fn line(number: u32, l: &OrderLine) -> t::Line {
                t::Line {
                    number,
                    product_id: unsigned(l.product_id),
                    sku: l.sku.as_str().to_owned(),
                    name: l.name.as_str().to_owned(),
                    quantity: l.quantity,
                    shipped_quantity: l.shipped_quantity,
                    refunded_quantity: l.refunded_quantity,
                    unit_price: money(&l.unit_price),
                    discount: money(&l.total.with(0)),
                    total: money(&l.total),
                    tax_rate_basis_points: None,
                    url: l.url.as_ref().map(|u| u.as_str().to_owned()),
                    image_url: None,
                    attributes: Vec::new(),
                }
            }

            fn address(a: &Address) -> t::Address {
                t::Address {
                    name: a.name.as_str().to_owned(),
                    company: String::new(),
                    lines: vec!["12 St James's Square".to_owned()],
                    city: a.city.as_str().to_owned(),
                    region: String::new(),
                    postal_code: a.postal_code.as_str().to_owned(),
                    country: a.country.as_str().to_owned(),
                    phone: String::new(),
                    attributes: Vec::new(),
                }
            }

            fn money(m: &Money) -> t::Money {
                t::Money { amount: m.amount, currency: m.currency.code().to_owned(), exponent: m.currency.exponent() }
            }

            fn moment(at: i64) -> t::Moment {
                t::Moment { unix_ms: unsigned(at), utc_offset_minutes: 0 }
            }

            fn unsigned(n: i64) -> u64 {
                u64::try_from(n).unwrap_or_default()
            }
        }
    };
}

convert!(native, renderer::contract);
convert!(bare, crate::plugin::bare::ecomm::notification::types);
