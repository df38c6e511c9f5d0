//! What is read of mails that come back, and of mails that are made to mislead.

use ecomm::inbound::read;
use ecomm::notification::report::ReportKind;

use crate::harness::tests;
use crate::reports::{BASE, sample};

tests! {
    once {
        of_each_form_it_is_read_what_it_says
        whatever_comes_in_is_read_to_an_end
    }
}

async fn of_each_form_it_is_read_what_it_says() {
    let reading = |name: &str, from_nobody| {
        read::read(sample(name, BASE, "bounces+x@mail.shop.example", "m1@shop.example").as_bytes(), from_nobody)
    };
    let expected = [
        (
            "bounced",
            ReportKind::Bounced,
            Some("5.1.1"),
            "550 5.1.1 <ada@example.com>: no such mailbox here",
            "mx.example.com",
        ),
        (
            "undecided",
            ReportKind::Bounced,
            Some("5.7.1"),
            "550 5.7.1 the sender is not allowed to send here [host=exchange.example]",
            "exchange.example",
        ),
        (
            "delayed",
            ReportKind::Delayed,
            Some("4.4.1"),
            "451 4.4.1 mx.example.com takes no connections, no such mailbox here",
            "mx.example.com",
        ),
        (
            "delivered",
            ReportKind::Delivered,
            Some("2.0.0"),
            "250 2.0.0 kept, as no such mailbox here",
            "mx.example.com",
        ),
        ("complained", ReportKind::Complained, None, "feedback type: abuse", "mailbox.example"),
        ("answered", ReportKind::Answered, None, "I am on holiday (Re: Your order)", "example.com"),
        ("other", ReportKind::Other, None, "failure notice", "old.example"),
    ];
    for (name, kind, enhanced, words, reporter) in expected {
        let found = reading(name, true).unwrap();
        assert_eq!(found.said.len(), 1, "{name}");
        let said = &found.said[0];
        assert_eq!((said.kind, said.enhanced.as_deref()), (kind, enhanced), "{name}");
        assert_eq!((said.words.as_str(), said.reporter.as_str()), (words, reporter), "{name}");
        let quotes = !["answered", "other"].contains(&name);
        assert_eq!(found.message_id.as_deref(), quotes.then_some("m1@shop.example"), "{name}");
        // Said again by the same mail it is the same; by another it is not.
        assert_eq!(reading(name, true).unwrap().said[0].digest, said.digest);
        let other = sample(name, BASE, "", "").replace("Message-I", "Message-Id: <another@x.example>\r\nX-I");
        let other = read::read(other.as_bytes(), true).unwrap();
        assert_ne!(other.said[0].digest, said.digest, "{name}");
    }
    for (name, kind, enhanced, recipient) in [
        ("qmail", ReportKind::Bounced, Some("5.1.1"), Some("ada@example.com")),
        ("exim", ReportKind::Bounced, None, Some("ada@example.com")),
        ("exchange", ReportKind::Answered, None, None),
    ] {
        let said = reading(name, true).unwrap().said.remove(0);
        assert_eq!((said.kind, said.enhanced.as_deref()), (kind, enhanced), "{name}");
        assert_eq!(said.recipients, recipient.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{name}");
    }
    // Without a type, and with what a terminal would obey.
    let odd = sample("bounced", BASE, "", "").replace("smtp; 550 5.1.1 <", "550 5.1.1 unknown; \u{1b}]52;c;x\u{7} <");
    let odd = read::read(odd.as_bytes(), true).unwrap().said.remove(0);
    assert!(odd.words.starts_with("550 5.1.1 unknown;  ]52;c;x  <ada"), "{odd:?}");
    assert_eq!(odd.recipients, ["ada@example.com"; 2]);
    assert_eq!(reading("person", false), None);
    assert_eq!(reading("other", false), None, "who has a reverse path is somebody");
    assert_eq!(reading("answered", false).unwrap().said[0].kind, ReportKind::Answered);
}

/// Numbers as a generator of Lehmer's gives them: the same in every run.
fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    }
}

async fn whatever_comes_in_is_read_to_an_end() {
    let mut next = numbers(7);
    for name in ["bounced", "undecided", "delayed", "complained", "answered", "other", "person"] {
        let whole = sample(name, BASE, "bounces+x@mail.shop.example", "m1@shop.example").into_bytes();
        for end in 0..whole.len() {
            read::read(&whole[..end], true);
        }
        for _ in 0..2_000 {
            let mut mail = whole.clone();
            for _ in 0..=next(8) {
                let (at, from, length) = (next(mail.len()), next(mail.len()), next(60));
                match next(4) {
                    0 => mail[at] = u8::try_from(next(256)).unwrap(),
                    1 => drop(mail.drain(at..(at + length).min(mail.len()))),
                    2 => {
                        let piece = mail[from..(from + length).min(mail.len())].to_vec();
                        mail.splice(at..at, piece);
                    }
                    _ => mail.insert(at, *b"\r\n:;=\"<>-\0\xff".get(next(11)).unwrap()),
                }
                if mail.is_empty() {
                    break;
                }
            }
            for said in read::read(&mail, true).into_iter().flat_map(|reading| reading.said) {
                assert!(said.words.len() <= 1_000 && said.reporter.chars().count() <= 100 && said.digest.len() == 64);
                assert!(said.enhanced.is_none_or(|code| code.len() <= 9));
            }
        }
    }
    for bomb in bombs() {
        read::read(&bomb, true);
    }
}

/// Mails that are made to cost much: parts in parts, mails in mails, and many of them, of nothing but lines.
fn bombs() -> Vec<Vec<u8>> {
    let part = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    let parts = (0..4_000).map(part).collect::<Vec<_>>().concat();
    let mails = "Content-Type: message/rfc822\r\n\r\n".repeat(8_000);
    let many = format!("Content-Type: multipart/report; boundary=b\r\n\r\n{}", "--b\r\n\r\n".repeat(40_000));
    let status = format!(
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n{}",
        "Action: failed\r\n\r\n".repeat(20_000)
    );
    let folded = format!("Subject: a\r\n{}", " x\r\n".repeat(60_000));
    let words = format!("Subject: {}\r\n\r\n", "=?utf-7?B?KysrKw==?= ".repeat(12_000));
    let charset = format!("Content-Type: text/plain; charset=utf-7\r\n\r\n{}", "+AAA-".repeat(50_000));
    let addresses = format!("From: {}\r\n\r\n", "a@b.example,(c),<d@e.example>,\"".repeat(8_000));
    let lost = "--b\r\nContent-Type: multipart/x; boundary=z\r\n\r\n".repeat(5_800);
    let lost = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{lost}");
    [lost, parts, mails, many, status, folded, words, charset, addresses].map(String::into_bytes).into()
}
