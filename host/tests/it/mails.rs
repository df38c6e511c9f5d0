//! What arrives in a mailbox: every mail of the default renderer, in every language, as mail programs and filters read it.

pub mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ecomm::clock::Clock;
use ecomm::config::{Config, PREFIX};
use ecomm::kit::project::{Event, find};
use ecomm::plugin::{Care, Email, Offline, Output, Progress, Question, Revision, Slot, samples};
use html5gum::{Token, Tokenizer};
use serde_json::{Value, json};

use crate::app::{App, sqlite};
use crate::harness::tests;

tests! {
    once {
        every_mail_is_whole_in_every_language
        an_order_of_many_lines_stays_small
        an_order_of_many_parts_stays_small
        what_is_said_is_so
        orders_are_data_as_well
        an_order_has_a_page
        what_a_shop_writes_takes_its_place
        what_cannot_be_written_is_refused_by_its_place
        the_guide_knows_every_value_and_shows_every_mail
    }
}

const LANGUAGES: [&str; 13] = ["en", "ar", "de", "es", "fr", "it", "ja", "nl", "pl", "pt", "pt-br", "sv", "zh"];
/// Of the HTML part, so that a mail is there at once, and far from where Gmail cuts it off (102 kB).
const HTML_BYTES_MAX: usize = 30_000;

/// The built-in renderer, with a config.
struct Writer {
    offline: Offline,
    revision: Arc<Revision>,
}

fn config() -> Config {
    let secret = (format!("{PREFIX}AUTH__SECRET"), "a secret for tests, and long enough".to_owned());
    // Components run beside other tests here, on a host that is not optimised.
    let time = (format!("{PREFIX}PLUGINS__CALL__TIME_MS_MAX"), "10000".to_owned());
    let compiler = (format!("{PREFIX}PLUGINS__COMPILER__PROGRAM"), env!("CARGO_BIN_EXE_ecomm").to_owned());
    Config::load(None, [secret, time, compiler]).unwrap()
}

async fn writer(config: &Value) -> Result<Writer, String> {
    let offline = Offline::new(&self::config().plugins, &Clock::system(), &[]).unwrap();
    let admitted = offline.admit(Slot::Renderer, None, config.to_string(), Care::Draft, &Progress::default()).await;
    Ok(Writer { revision: admitted.map_err(|e| e.to_string())?, offline })
}

impl Writer {
    async fn mail(&self, event: &Event) -> Email {
        let question = Question::Render { ab_variant: None, seed: 1 };
        let answer = self.offline.ask(&self.revision, &event.notification, &question).await;
        match answer.unwrap_or_else(|fault| panic!("{}: {fault}", event.name)).output {
            Output::Email(email) => email,
            other => panic!("{other:?}"),
        }
    }
}

/// A sample in a language.
fn sample(name: &str, language: &str) -> Event {
    find(name, &[]).unwrap().in_locale(language.to_owned().try_into().unwrap())
}

/// The start tags of an HTML part with their attributes, its style sheets, and its data.
struct Read {
    tags: Vec<(String, BTreeMap<String, String>)>,
    style_sheets: Vec<String>,
    data: Option<Value>,
}

fn read(html: &str) -> Read {
    let lossy = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut read = Read { tags: Vec::new(), style_sheets: Vec::new(), data: None };
    let mut inside = String::new();
    for token in Tokenizer::new(html) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                inside = lossy(&tag.name);
                let attributes = tag.attributes.iter().map(|(key, value)| (lossy(key), lossy(&value.value)));
                read.tags.push((inside.clone(), attributes.collect()));
            }
            Token::EndTag(_) => inside.clear(),
            Token::String(text) => match inside.as_str() {
                "style" => read.style_sheets.push(lossy(&text.value)),
                "script" => read.data = Some(serde_json::from_slice(&text.value).unwrap()),
                _ => {}
            },
            _ => {}
        }
    }
    read
}

async fn every_mail_is_whole_in_every_language() {
    let writer = writer(&json!({})).await.unwrap();
    let mut subjects = BTreeMap::new();
    for (name, _) in samples() {
        for language in LANGUAGES {
            let email = writer.mail(&sample(name, language)).await;
            let at = format!("{name} in {language}");
            let html = email.html.as_deref().unwrap();
            assert!(html.len() < HTML_BYTES_MAX, "{at}: {} bytes", html.len());
            for part in [html, &email.text, &email.subject] {
                let left = ["{ $", "{$", "{{", "[[", "{%"].into_iter().find(|left| part.contains(left));
                assert_eq!(left, None, "{at}: {part}");
            }
            let Read { tags, .. } = read(html);
            let (_, root) = tags.iter().find(|(name, _)| name == "html").unwrap();
            assert_eq!(
                (&*root["lang"], &*root["dir"]),
                (language, if language == "ar" { "rtl" } else { "ltr" }),
                "{at}"
            );
            assert!(
                tags.iter().all(|(name, has)| name != "img" || has.get("alt").is_some_and(|alt| !alt.is_empty())),
                "{at}"
            );
            assert!(tags.iter().all(|(name, has)| name != "table" || has.contains_key("role")), "{at}");
            // Whatever can be followed in one part can be in the other.
            let linked = tags.iter().filter(|(name, _)| name == "a").map(|(_, has)| has["href"].as_str());
            let unlinked: Vec<&str> = linked
                .filter(|href| !href.starts_with("mailto:") && !href.starts_with("https://shop.example/p/"))
                .filter(|href| !email.text.contains(href))
                .collect();
            assert_eq!(unlinked, <[&str; 0]>::default(), "{at}");
            let is_right_to_left = |text: &str| text.contains('\u{2068}') && text.contains('\u{2069}');
            assert_eq!(is_right_to_left(&email.text), language == "ar", "{at}: values are isolated where it matters");
            subjects.entry(name).or_insert_with(BTreeSet::new).insert(email.subject);
        }
    }
    for (name, subjects) in subjects {
        assert_eq!(subjects.len(), LANGUAGES.len(), "{name} is alike in two languages: {subjects:?}");
    }
}

/// The sample of a shipped order, changed.
fn shipped(change: impl FnOnce(&mut Value)) -> Event {
    let (_, payload) = samples().iter().find(|(name, _)| *name == "order-shipped").unwrap();
    let mut payload: Value = serde_json::from_str(payload).unwrap();
    change(&mut payload["subject"]["order"]);
    Event::new("shipped".to_owned(), ecomm::notification::Payload::read(&payload.to_string()).unwrap())
}

async fn an_order_of_many_lines_stays_small() {
    let many = shipped(|order| {
        let line = order["lines"][0].clone();
        order["lines"] = vec![line; 100].into();
    });
    let email = writer(&json!({})).await.unwrap().mail(&many).await;
    let html = email.html.unwrap();
    assert!(html.len() < HTML_BYTES_MAX, "{} bytes", html.len());
    assert_eq!(
        (html.matches("SKU-1").count(), email.text.matches("(SKU-1)").count()),
        (50, 25),
        "data, and what is shown"
    );
    assert!(html.contains("and 75 more products") && email.text.contains("and 75 more products"));
    let email = writer(&json!({ "lines_max": 99 })).await.unwrap().mail(&many).await;
    assert_eq!(email.text.matches("(SKU-1)").count(), 99);
    assert!(email.text.contains("and one more product\n"), "{}", email.text);
}

/// As many parcels, refunds and pieces in them as the shop allows, within the budget of its lines.
async fn an_order_of_many_parts_stays_small() {
    let parts: Vec<Value> = (1..=100).map(|n| json!({ "line_number": n, "quantity": 1 })).collect();
    let many = shipped(|order| {
        let (line, mut parcel) = (order["lines"][0].clone(), order["shipments"][0].clone());
        order["lines"] = vec![line; 100].into();
        (parcel["parts"], parcel["since_version"]) = (json!(parts), order["version"].clone());
        let mut old = parcel.clone();
        (old["since_version"], old["tracking_number"]) = (json!(1), json!("OLD"));
        order["shipments"] = [vec![old; 80], vec![parcel; 20]].concat().into();
        let amount = json!({ "amount": 100, "currency": "EUR" });
        order["refunds"] = vec![json!({ "since_version": 1, "amount": amount, "parts": parts }); 100].into();
    });
    let email = writer(&json!({})).await.unwrap().mail(&many).await;
    let html = email.html.unwrap();
    // Twenty parcels have twenty links.
    assert!(html.len() < HTML_BYTES_MAX / 3 * 4, "{} bytes", html.len());
    assert!(!email.text.contains("OLD") && email.text.contains("and 75 more products"), "{}", email.text);
    assert_eq!(email.text.lines().filter(|line| line.starts_with("Refunded")).count(), 1, "{}", email.text);
    assert!(email.text.contains("100.00"), "the sum of all refunds: {}", email.text);
}

async fn what_is_said_is_so() {
    let writer = writer(&json!({ "shop_name": "Ada's Teas" })).await.unwrap();
    let cancelled = shipped(|order| {
        order["status"] = json!("cancelled");
        order["payment"]["due"] = json!({ "amount": 9_999, "currency": "EUR" });
    });
    let email = writer.mail(&cancelled).await;
    assert!(!email.text.contains("99.99"), "what is cancelled is not to be paid: {}", email.text);
    assert_eq!(email.from_name.as_deref(), Some("Ada's Teas"));
    assert_eq!(read(&email.html.unwrap()).data.unwrap()[0]["merchant"]["name"], "Ada's Teas");
    // A sign stands where the language has it.
    let arabic = writer.mail(&sample("order-refunded", "ar")).await;
    assert!(arabic.text.contains("\u{200f}\u{200e}-3.80\u{a0}€\n"), "{:?}", arabic.text);
    // A link of an hour says which hour, and where it is that late.
    let reset = writer.mail(&sample("account-reset-password", "en")).await;
    let until = reset.text.lines().find(|line| line.starts_with("The link works until")).unwrap();
    assert!(until.contains(" at ") || until.contains("(UTC"), "{until}");
    // The font of the invoice has no letters of these languages: it is in English.
    for language in LANGUAGES {
        let email = writer.mail(&sample("order-invoiced", language)).await;
        let pdf = String::from_utf8_lossy(&email.attachments[0].data).into_owned();
        let is_english = pdf.contains("(Invoice 2026-000042)");
        assert_eq!(is_english, ["en", "ar", "ja", "pl", "zh"].contains(&language), "{language}: {pdf}");
        assert!(!pdf.contains('?'), "{language}: {pdf}");
    }
    let mut name = sample("order-invoiced", "ja");
    let payload = &mut Arc::make_mut(&mut name.notification).payload;
    let mut told = serde_json::to_value(&*payload).unwrap();
    told["subject"]["order"]["bill_to"]["name"] = json!("北京");
    *payload = ecomm::notification::Payload::read(&told.to_string()).unwrap();
    // A name that cannot be written so is not left out: the invoice is a text.
    let file = writer.mail(&name).await.attachments.remove(0);
    assert_eq!((file.name.as_str(), file.content_type.as_str()), ("2026-000042.txt", "text/plain"));
    let text = String::from_utf8(file.data).unwrap();
    assert!(text.starts_with('\u{feff}') && text.contains("\r\n北京\r\n"), "{text}");
}

async fn orders_are_data_as_well() {
    let hostile = shipped(|order| order["lines"][0]["name"] = json!("</script><!--<script>\u{2028}&amp;"));
    let email = writer(&json!({})).await.unwrap().mail(&hostile).await;
    let data = read(&email.html.unwrap()).data.unwrap();
    let (order, parcel) = (&data[0], &data[2]);
    assert_eq!(data[1]["carrier"]["name"], "Courier", "the newest first");
    assert_eq!((&order["@type"], &order["orderStatus"]), (&json!("Order"), &json!("http://schema.org/OrderInTransit")));
    assert_eq!(
        (&order["orderNumber"], &order["price"], &order["priceCurrency"]),
        (&json!("4242424242"), &json!("54.38"), &json!("EUR"))
    );
    assert_eq!(
        (&order["merchant"]["name"], &order["orderDate"]),
        (&json!("Fixture & Sons"), &json!("2026-10-24T22:30:00Z"))
    );
    let offer = &order["acceptedOffer"][0];
    assert_eq!(offer["itemOffered"]["name"], "</script><!--<script>\u{2028}&amp;");
    assert_eq!((&offer["price"], &offer["eligibleQuantity"]["value"]), (&json!("19.99"), &json!(2)));
    assert_eq!((&parcel["@type"], &parcel["trackingNumber"]), (&json!("ParcelDelivery"), &json!("RR123456785AT")));
    assert_eq!(
        (&parcel["carrier"]["name"], &parcel["partOfOrder"]["orderNumber"]),
        (&json!("Post"), &json!("4242424242"))
    );
    assert_eq!(parcel["deliveryAddress"]["addressLocality"], "London");
    let without = writer(&json!({ "structured_data": false })).await.unwrap();
    assert!(read(&without.mail(&sample("shipped", "en")).await.html.unwrap()).data.is_none());
    // An account is nobody's data.
    let account = writer(&json!({})).await.unwrap().mail(&sample("account-closed", "en")).await;
    assert!(read(&account.html.unwrap()).data.is_none());
}

async fn an_order_has_a_page() {
    let app = App::with(sqlite().await, &[("SHOP__ORDER_URL", "https://shop.example/orders/{number}?from=mail")]).await;
    let order = app.order().await;
    app.drain().await;
    let received = app.mailbox.messages();
    let mail = mail_parser::MessageParser::default().parse(&received[0].bytes[..]).unwrap();
    let page = format!("https://shop.example/orders/{order}?from=mail");
    assert!(mail.body_text(0).unwrap().contains(&format!("See your order: {page}\r\n")));
    let Read { tags, data, .. } = read(&mail.body_html(0).unwrap());
    assert_eq!(tags.iter().filter(|(name, has)| name == "a" && has["href"] == page).count(), 1, "the button");
    assert_eq!(data.unwrap()[0]["url"], page);
    app.end().await;
}

async fn what_a_shop_writes_takes_its_place() {
    let config = json!({
        "footer": "Tea since 1706",
        "legal": ["Fixture & Sons Ltd", "1 Strand, London"],
        "links": [{ "label": "Privacy", "url": "https://shop.example/privacy" }],
        "footers": {
            "DE": { "legal": ["Fixture & Söhne GmbH"] },
            "de-CH": { "links": [{ "label": "Datenschutz", "url": "https://shop.example/ch" }] },
        },
        "logo_url": "https://shop.example/logo.png",
        "dark_logo_url": "https://shop.example/dark.png",
        "colors": { "accent": "#facc15", "card": "#fffbeb" },
        "dark_colors": { "card": "#101010" },
        "font": "Georgia, serif",
        "messages": {
            "en": { "total": "In all", "order.shipped": { "preheader": "Look out for { $carrier_or_not }" } },
            "cs": { "order.shipped": { "subject": "Objednávka { $number } je na cestě" }, "questions": "Dotazy?" },
        },
        "templates": { "fr": { "order.shipped": { "text": "{{ subject }} / {{ order.totals[0].label }}" } } },
    });
    let mut config = config;
    let refused = writer(&config).await.err().unwrap();
    assert!(refused.contains("$carrier_or_not is not known here; there are $customer"), "{refused}");
    config["messages"]["en"]["order.shipped"]["preheader"] = json!("{ $items } pieces");
    let writer = writer(&config).await.unwrap();
    let mail = async |language: &str| writer.mail(&sample("shipped", language)).await;

    let english = mail("en").await;
    let html = english.html.unwrap();
    for wanted in [
        "Tea since 1706",
        "1 Strand, London",
        "https://shop.example/privacy",
        "src=\"https://shop.example/logo.png\"",
        "src=\"https://shop.example/dark.png\"",
        "background-color:#fffbeb",
        ".card{background-color:#101010!important",
        "font-family:Georgia, serif",
        ">12 pieces&#847;",
        "border-top:4px solid #facc15",
    ] {
        assert!(html.contains(wanted), "{wanted}: {html}");
    }
    assert!(
        english.text.contains("In all: €54.38\n") && english.text.contains("\nPrivacy: https://shop.example/privacy\n")
    );
    let swiss = mail("de-CH").await.text;
    assert!(
        swiss.contains("Datenschutz: https://shop.example/ch\n") && swiss.contains("Fixture & Söhne GmbH\n"),
        "{swiss}"
    );
    let german = mail("de-AT").await;
    assert!(german.text.contains("Fixture & Söhne GmbH\n") && !german.text.contains("Strand"), "{}", german.text);
    assert!(german.text.contains("Tea since 1706\n") && german.subject == "Bestellung 4242424242 ist unterwegs");
    let czech = mail("cs").await;
    assert_eq!(czech.subject, "Objednávka 4242424242 je na cestě");
    assert!(czech.text.contains("It is on its way, Ada Lovelace!") && czech.text.contains("Dotazy? help@shop.example"));
    assert_eq!(mail("fr").await.text, "La commande 4242424242 est en route / Sous-total");
    assert!(mail("fr").await.html.unwrap().contains("<!doctype html>"));
}

async fn what_cannot_be_written_is_refused_by_its_place() {
    for (config, wanted) in [
        (
            json!({ "colors": { "text": "#999999" } }),
            "/colors/text: the text #999999 on the card #ffffff has a contrast of 2.8",
        ),
        (json!({ "colors": { "accent": "teal" } }), "/colors/accent"),
        (
            json!({ "messages": { "en": { "order.placed": { "subject": "{ $number" } } } }),
            "/messages/en/order.placed/subject",
        ),
        (json!({ "messages": { "en": { "totals": "x" } } }), "/messages/en/totals"),
        (json!({ "messages": { "not a tag": { "total": "x" } } }), "/messages/not a tag: is not a language tag"),
        (json!({ "templates": { "en": { "base": { "html": "{{ x" } } } }), "/templates/en/base/html"),
        (json!({ "default_locale": "tlh" }), "/default_locale: \"tlh\" has no texts"),
        (json!({ "links": [{ "label": "x", "url": "http://x" }] }), "/links/0/url"),
    ] {
        let said = writer(&config).await.err().unwrap_or_else(|| panic!("{config} was taken"));
        assert!(said.contains(wanted), "{wanted} is not in: {said}");
    }
}

async fn the_guide_knows_every_value_and_shows_every_mail() {
    let guide = include_str!("../../../docs/mails.md");
    for (name, row) in
        [("other", "| all |"), ("order", "| `order…` |"), ("account", "| `account…` |"), ("product", "| `product…` |")]
    {
        let config = json!({ "messages": { "en": { (name): { "intro": "{ $nothing }" } } } });
        let said = writer(&config).await.err().unwrap();
        let known = said.split("there are ").nth(1).unwrap().split(", ").map(str::trim);
        let row = guide.lines().find(|line| line.starts_with(row)).unwrap();
        let own: BTreeSet<&str> = known.skip(if name == "other" { 0 } else { 3 }).collect();
        let listed = row.split('`').filter(|value| value.starts_with('$')).collect();
        assert_eq!(own, listed, "{name}");
    }
    for (name, _) in samples() {
        for picture in [format!("pictures/mails/{name}.webp"), format!("pictures/mails/{name}-dark.webp")] {
            assert!(guide.contains(&format!("({picture})")), "{picture} is not shown");
            assert!(
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(&picture).is_file(),
                "there is no {picture}"
            );
        }
    }
    // What the guide shows as configs are some.
    for block in guide.split("```json\n").skip(1) {
        let config: Value = serde_json::from_str(block.split("```").next().unwrap()).unwrap();
        writer(&config).await.unwrap_or_else(|e| panic!("{config}: {e}"));
    }
}
