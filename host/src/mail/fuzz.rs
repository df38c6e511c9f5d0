//! What a relay may answer, and what a component may have a mail say; see [`crate::fuzz`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use futures_util::future::maybe_done;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::extension::ClientId;
use mail_parser::{HeaderName, MessageParser};

use super::smtp::{Envelope, Smtp, mail_data};
use super::{Mailer, Message, RelaySettings, Tls, reply};
use crate::clock::Clock;
use crate::config::{Config, PREFIX};
use crate::fuzz::{Peer, run, texts};
use crate::lease::{Lease, NotRecorded};
use crate::notification::{Class, Notification, Payload, REPLY_BYTES_MAX};
use crate::outbound::{Broken, Deadlines, Transacted};
use crate::plugin::{Attachment, Email};

const DEADLINES: Deadlines =
    Deadlines { connect_ms_max: 1_000, command_ms_max: 1_000, data_ms_max: 1_000, body_ms_max: 1_000 };

/// Builds messages; is connected to nobody.
static MAILER: LazyLock<Mailer> = LazyLock::new(|| {
    let secret = (format!("{PREFIX}AUTH__SECRET"), "a secret that is long enough to be one".to_owned());
    let mut settings = Config::of(None, [secret]).expect("the defaults are good").mail;
    settings.relays = vec![RelaySettings { tls: Tls::None, ..RelaySettings::new("relay", "127.0.0.1", 25) }];
    Mailer::new(settings, &Clock::system()).expect("good settings")
});

impl AsyncTokioStream for Peer {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 25).into())
    }
}

/// All that a relay says in a session of two mails; the first byte says in which pieces, whether it is logged in to, and whether
/// the second mail's envelope goes out behind the first mail.
pub(crate) fn replies(bytes: &[u8]) {
    let Some((first, says)) = bytes.split_first() else { return };
    // libFuzzer ends at each panic, and at lettre's too, which is survived.
    let is_blank = |line: &[u8]| {
        line.first() == Some(&b'2') && String::from_utf8_lossy(&line[4.min(line.len())..]).trim().is_empty()
    };
    if cfg!(fuzzing) && says.split(|byte| *byte == b'\n').any(is_blank) {
        return;
    }
    let heard = Arc::new(AtomicU64::new(0));
    let piece = if first % 2 == 0 { says.len().max(1) } else { usize::from(first % 16) };
    let peer = Box::new(Peer::new(says, piece, heard.clone()));
    run(async {
        if let Err(broken) = session(peer, heard, first % 64 > 31, first % 128 > 63).await {
            is_bounded(&broken);
        }
    });
}

async fn session(peer: Box<Peer>, heard: Arc<AtomicU64>, logs_in: bool, is_behind: bool) -> Result<(), Broken> {
    let hello = ClientId::Domain("shop.example".to_owned());
    let mut smtp = Smtp::greeted(peer, heard.clone(), &hello, &DEADLINES).await?;
    smtp.extensions(&hello, &DEADLINES).await?;
    if logs_in {
        smtp.log_in(&Credentials::new("shop".to_owned(), "password".to_owned()), &DEADLINES).await?;
    }
    let [returns_to, to] =
        ["shop@shop.example", "ada@shop.example"].map(|address| address.parse().expect("an address"));
    let text = "Subject: a\r\n\r\n.a\r\n".to_owned();
    let message =
        Message { envelope: Envelope::new(&returns_to, &to, &text), hash: String::new(), text, returns_to, to };
    let clock = Clock::system();
    let body = mail_data(&message.text).len() as u64;
    for is_reused in [false, true] {
        let lease = Lease::until(&clock, clock.monotonic_ms() + 60_000);
        let before = heard.load(Ordering::Relaxed);
        let intent = pin!(maybe_done(async { Ok::<(), NotRecorded>(()) }));
        let mut follows = false;
        let behind = || {
            follows = is_behind && !is_reused;
            message.envelope.for_any_relay().filter(|_| follows).map(str::to_owned)
        };
        let transacted = smtp.transact(is_reused, &message, (&DEADLINES, &lease), intent, behind).await;
        let written = heard.load(Ordering::Relaxed) - before;
        match transacted {
            Transacted::Done(taken) => {
                // The envelope may have been written before.
                assert!((200..300).contains(&taken.code) && written >= body, "{} is no yes", taken.code);
                assert!(taken.reply.len() <= REPLY_BYTES_MAX);
            }
            Transacted::Failed(class, broken) => {
                is_bounded(&broken);
                assert_eq!(class == Class::InDoubt, lease.is_handed_over() && broken.code.is_none(), "{broken:?}");
                if broken.unusable || !(follows || smtp.reset(&DEADLINES).await) {
                    return Ok(());
                }
            }
            Transacted::Stale => {
                assert!(is_reused && !lease.is_handed_over());
                return Ok(());
            }
            Transacted::NotRecorded(why) => panic!("{why}"),
        }
    }
    smtp.quit().await;
    Ok(())
}

fn is_bounded(broken: &Broken) {
    assert!(broken.reply.len() <= REPLY_BYTES_MAX, "{broken:?}");
    assert!(broken.code.is_none_or(|code| (400..600).contains(&code)), "{broken:?}");
    let class = reply::of(broken);
    assert!(class.is_charged() || broken.code.is_some(), "{broken:?}");
    assert!(reply::wait_ms(&broken.reply).is_none_or(|ms| ms <= reply::WAIT_MS_MAX));
}

/// What a component says a mail is, in parts: subject, text, HTML, the sender's name, where answers go, a header's name and value, a
/// file's name, media type, id and content. What is taken of it arrives as it was said, and nothing else does.
pub(crate) fn mails(bytes: &[u8]) {
    let mut parts = texts(bytes).map(str::to_owned);
    let subject = parts.next().unwrap_or_default();
    let text = parts.next().unwrap_or_default();
    let mut email = Email { subject, text, html: parts.next(), ..Email::default() };
    (email.from_name, email.reply_to) = (parts.next(), parts.next().filter(|address| !address.is_empty()));
    email.headers.extend(parts.next().zip(parts.next()));
    if let (Some(name), Some(content_type)) = (parts.next(), parts.next()) {
        let content_id = parts.next().filter(|id| !id.is_empty());
        let data = parts.next().unwrap_or_default().into_bytes();
        email.attachments.push(Attachment { name, content_type, content_id, data });
    }
    let Ok(email) = crate::plugin::fuzz::take(email) else { return };
    let payload = Payload::read(crate::plugin::samples()[0].1).expect("a sample");
    let notification = Notification { id: 1, message_id: "1@shop.example".to_owned(), payload };
    let message = MAILER.build(&notification, &email, 7, 1_700_000_000_000).expect("it can be built");
    arrives(&email, &message.text);
}

fn arrives(email: &Email, text: &str) {
    let data = mail_data(text);
    assert_eq!(memchr::memmem::find(data.as_bytes(), b"\r\n.\r\n"), Some(data.len() - 5), "it ends once");
    for line in text.split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "no line of a mail: {line:?}");
    }
    let parsed = MessageParser::default().parse(text.as_bytes()).expect("a mail");
    let only = [HeaderName::From, HeaderName::To, HeaderName::Subject, HeaderName::Date, HeaderName::MessageId];
    for name in only {
        let found = parsed.headers().iter().filter(|header| header.name == name).count();
        assert_eq!(found, 1, "{name:?}");
    }
    for name in [HeaderName::Bcc, HeaderName::Cc, HeaderName::Sender, HeaderName::ReturnPath] {
        assert!(parsed.header(name).is_none());
    }
    let of_ours = 9 + usize::from(email.reply_to.is_some()) + email.headers.len();
    assert!(parsed.headers().len() <= of_ours, "a header that nobody gave: {text}");
    let lines = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
    assert_eq!(parsed.body_text(0).map(|text| lines(&text)), Some(lines(&email.text)));
    if let Some(html) = &email.html {
        assert_eq!(parsed.body_html(0).map(|html| lines(&html)), Some(lines(html)));
    }
    let files: Vec<_> = parsed.attachments().map(|file| file.contents().to_vec()).collect();
    assert!(email.attachments.iter().all(|file| files.contains(&file.data)), "a file is not as it was given");
}
