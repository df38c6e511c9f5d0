//! The bytes of a mail. A pure function: no clock and no randomness but those in its arguments.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue, Headers};
use lettre::message::{Attachment, Body, Mailbox, Mailboxes, MultiPart, SinglePart};

use super::dkim::Signers;
use super::smtp::Envelope;
use super::{Settings, encoding};
use crate::hex;
use crate::notification::Notification;
use crate::plugin::Email;
use crate::return_path::ReturnPaths;
use crate::shop::text;

/// The longest header for the relay, in characters (RFC 5322 2.1.1 allows 998 in a line, an address of 254 among them).
const HEADER_CHARS_MAX: usize = 500;

/// A message, ready for a relay.
#[derive(Clone, Debug)]
pub struct Message {
    /// Headers and body (RFC 5322), dots not yet stuffed.
    pub text: String,
    /// SHA-256 of the text, in hex.
    pub hash: String,
    pub(super) envelope: Envelope,
    /// The reverse path.
    pub(super) returns_to: Address,
    pub(super) to: Address,
}

pub(super) fn build(
    (settings, return_paths, signers): (&Settings, &ReturnPaths, &Signers),
    n: &Notification,
    email: &Email,
    seed: u64,
    dated_at: i64,
) -> Result<Message, String> {
    let to = address(&n.payload.customer.email)?;
    let from = address(&settings.from)?;
    let from_name = email.from_name.clone().unwrap_or_else(|| settings.from_name.as_str().to_owned());
    let date = Duration::from_millis(u64::try_from(dated_at).unwrap_or_default());
    // Not by lettre's builder: it parses the addresses again that it has just written.
    let mut headers = Headers::with_capacity(8 + email.headers.len());
    headers.set(header::From::from(one(Some(from_name), &from)));
    headers.set(header::To::from(one(Some(n.payload.customer.name.as_str().to_owned()), &to)));
    headers.set(header::Subject::from(email.subject.clone()));
    headers.set(header::MessageId::from(format!("<{}>", n.message_id)));
    headers.set(header::Date::from(SystemTime::UNIX_EPOCH + date));
    headers.insert_raw(raw("Auto-Submitted", "auto-generated")?);
    let reply_to = match (&email.reply_to, &settings.reply_to) {
        (Some(renderer), _) => Some(text::Email::try_from(renderer.clone())?),
        (None, host) => host.clone(),
    };
    if let Some(reply_to) = reply_to {
        headers.set(header::ReplyTo::from(one(None, &address(&reply_to)?)));
    }
    for (name, value) in &email.headers {
        headers.insert_raw(raw(name, value)?);
    }
    let says = |name: &str| email.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if let Some(url) = n.payload.unsubscribe_url.as_ref().filter(|_| !says("List-Unsubscribe")) {
        // RFC 2369; and one click is enough (RFC 8058).
        headers.insert_raw(raw("List-Unsubscribe", &format!("<{}>", url.as_str()))?);
        if !says("List-Unsubscribe-Post") {
            headers.insert_raw(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")?);
        }
    }
    headers.set(header::MIME_VERSION_1_0);
    let body = String::from_utf8(body(email, seed)?.formatted()).map_err(|e| e.to_string())?;
    let headers = headers.to_string();
    // The body begins with headers of its own, which belong to the message.
    let (media, content) = body.split_once("\r\n\r\n").ok_or("the body has no headers")?;
    let signatures = signers.sign(&[&headers, media, "\r\n"].concat(), content, dated_at)?;
    let returns_to = return_paths.of(n.id).and_then(|path| path.parse().ok()).unwrap_or(from);
    let for_relay = settings
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", value.replace("{return_path}", returns_to.as_ref())));
    let text = for_relay.collect::<String>() + &signatures + &headers + &body;
    let envelope = Envelope::new(&returns_to, &to, &text);
    Ok(Message { hash: crate::plugin::digest(text.as_bytes()), text, envelope, returns_to, to })
}

/// A header for the relay that cannot be one.
pub(super) fn bad_header(headers: &BTreeMap<String, String>) -> Option<String> {
    let is_good = |(name, value): &(&String, &String)| {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        name.get(..2).is_some_and(|begins| begins.eq_ignore_ascii_case("X-"))
            && name.bytes().all(word)
            && name.len() + value.len() <= HEADER_CHARS_MAX
            && value.bytes().all(|b| (b' '..=b'~').contains(&b))
    };
    headers.iter().find(|header| !is_good(header)).map(|(name, _)| name.clone())
}

fn one(name: Option<String>, address: &Address) -> Mailboxes {
    Mailbox::new(name, address.clone()).into()
}

/// text | alternative(text, html) | related(…, inline files) | mixed(…, files), each only where needed.
fn body(email: &Email, seed: u64) -> Result<MultiPart, String> {
    let boundary = |part| boundary(email, seed, part);
    let text = SinglePart::plain(encoding::encode(&email.text));
    let mut alternative = MultiPart::alternative().boundary(boundary(0)).singlepart(text);
    if let Some(html) = &email.html {
        alternative = alternative.singlepart(SinglePart::html(encoding::encode(html)));
    }
    let (inline, files): (Vec<_>, Vec<_>) = email.attachments.iter().partition(|a| a.content_id.is_some());
    let mut root = alternative;
    if !inline.is_empty() {
        root = MultiPart::related().boundary(boundary(1)).multipart(root);
        for a in inline {
            let id = a.content_id.clone().unwrap_or_default();
            root = root.singlepart(Attachment::new_inline_with_name(id, a.name.clone()).body(bytes(a)?, media(a)?));
        }
    }
    if !files.is_empty() {
        root = MultiPart::mixed().boundary(boundary(2)).multipart(root);
        for a in files {
            root = root.singlepart(Attachment::new(a.name.clone()).body(bytes(a)?, media(a)?));
        }
    }
    Ok(root)
}

/// What divides the parts, which no text has by chance (RFC 2046 5.1.1). A renderer knows the seed: what it wrote into a text is
/// answered with what depends on that text.
fn boundary(email: &Email, seed: u64, part: u8) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update([part]);
    let digits = |hash: Sha256| hex::encode(&hash.finalize()[..20]);
    let usual = digits(hash.clone());
    let texts = [&*email.text, email.html.as_deref().unwrap_or_default()];
    if !texts.iter().any(|text| memchr::memmem::find(text.as_bytes(), usual.as_bytes()).is_some()) {
        return usual;
    }
    for text in texts {
        hash.update(text);
    }
    digits(hash)
}

/// Always base64: a file's own line ends and dots must not look like the protocol's (SMTP smuggling).
fn bytes(a: &crate::plugin::Attachment) -> Result<Body, String> {
    let encoded = Body::new_with_encoding(a.data.clone(), ContentTransferEncoding::Base64);
    encoded.map_err(|_| format!("the attachment \"{}\" cannot be encoded", a.name))
}

fn media(a: &crate::plugin::Attachment) -> Result<ContentType, String> {
    // Without it a text is US-ASCII (RFC 2046 4.1.2); the contract has no parameters.
    let is_unicode = a.content_type.starts_with("text/") && std::str::from_utf8(&a.data).is_ok();
    let charset = if is_unicode { "; charset=utf-8" } else { "" };
    ContentType::parse(&format!("{}{charset}", a.content_type)).map_err(|e| e.to_string())
}

fn raw(name: &str, value: &str) -> Result<HeaderValue, String> {
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|e| e.to_string())?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

fn address(email: &text::Email) -> Result<Address, String> {
    email.as_str().parse().map_err(|e| format!("\"{}\" is not an address: {e}", email.as_str()))
}
