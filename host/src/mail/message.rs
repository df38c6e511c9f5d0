//! The bytes of a mail. A pure function: no clock and no chance but those in its arguments.

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};

use super::Settings;
use crate::hex;
use crate::notification::Notification;
use crate::plugin::Email;
use crate::shop::text;

/// A message, ready for a relay.
#[derive(Clone, Debug)]
pub struct Message {
    /// Headers and body (RFC 5322), dots not yet stuffed.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes, in hex.
    pub hash: String,
    pub(super) from: Address,
    pub(super) to: Address,
}

pub(super) fn build(settings: &Settings, n: &Notification, email: &Email, seed: u64) -> Result<Message, String> {
    let to = address(&n.payload.customer.email)?;
    let from = address(&settings.from)?;
    let from_name = email.from_name.clone().unwrap_or_else(|| settings.from_name.as_str().to_owned());
    let date = Duration::from_millis(u64::try_from(n.payload.occurred_at).unwrap_or_default());
    let mut builder = lettre::Message::builder()
        .from(Mailbox::new(Some(from_name), from.clone()))
        .to(Mailbox::new(Some(n.payload.customer.name.as_str().to_owned()), to.clone()))
        .subject(email.subject.clone())
        .message_id(Some(format!("<{}>", n.message_id)))
        .date(SystemTime::UNIX_EPOCH + date)
        .raw_header(raw("Auto-Submitted", "auto-generated")?);
    let reply_to = match (&email.reply_to, &settings.reply_to) {
        (Some(renderer), _) => Some(text::Email::try_from(renderer.clone())?),
        (None, host) => host.clone(),
    };
    if let Some(reply_to) = reply_to {
        builder = builder.reply_to(Mailbox::new(None, address(&reply_to)?));
    }
    for (name, value) in &email.headers {
        builder = builder.raw_header(raw(name, value)?);
    }
    let message = builder.multipart(body(email, seed)?).map_err(|e| e.to_string())?;
    let bytes = message.formatted();
    Ok(Message { hash: crate::plugin::digest(&bytes), bytes, from, to })
}

/// text | alternative(text, html) | related(…, inline files) | mixed(…, files), each only where needed.
fn body(email: &Email, seed: u64) -> Result<MultiPart, String> {
    let boundary = |part: u8| {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update([part]);
        hex::encode(&hash.finalize()[..20])
    };
    let mut alternative =
        MultiPart::alternative().boundary(boundary(0)).singlepart(SinglePart::plain(email.text.clone()));
    if let Some(html) = &email.html {
        alternative = alternative.singlepart(SinglePart::html(html.clone()));
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

/// Always base64: a file's own line ends and dots must not look like the protocol's (SMTP smuggling).
fn bytes(a: &crate::plugin::Attachment) -> Result<Body, String> {
    let encoded = Body::new_with_encoding(a.data.clone(), ContentTransferEncoding::Base64);
    encoded.map_err(|_| format!("the attachment \"{}\" cannot be encoded", a.name))
}

fn media(a: &crate::plugin::Attachment) -> Result<ContentType, String> {
    ContentType::parse(&a.content_type).map_err(|e| e.to_string())
}

fn raw(name: &str, value: &str) -> Result<HeaderValue, String> {
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|e| e.to_string())?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

fn address(email: &text::Email) -> Result<Address, String> {
    email.as_str().parse().map_err(|e| format!("\"{}\" is not an address: {e}", email.as_str()))
}
