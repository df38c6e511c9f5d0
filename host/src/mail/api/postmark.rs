//! Postmark's API, `/email`: it takes no message but its parts, which are read out of it again. What it signs, it signs itself.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use mail_parser::{Addr, MessageParser, MimeHeaders, PartType};
use serde::Serialize;
use serde_json::Value;

use super::{Draft, secret};
use crate::mail::Message;
use crate::notification::Class;

/// Headers that it makes itself, or that have fields of their own; in lower case.
const OWN: [&str; 9] = [
    "from",
    "to",
    "reply-to",
    "subject",
    "date",
    "mime-version",
    "dkim-signature",
    "content-type",
    "content-transfer-encoding",
];
/// How the names of headers begin that are metadata; in lower case.
const METADATA: &str = "x-pm-metadata-";
/// Headers that have fields of their own here.
const STREAM: &str = "x-pm-message-stream";
const TAG: &str = "x-pm-tag";

pub(super) struct Postmark {
    token: HeaderValue,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Email<'a> {
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a str>,
    subject: &'a str,
    text_body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    html_body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    headers: Vec<Header<'a>>,
    metadata: BTreeMap<&'a str, &'a str>,
    attachments: Vec<Attachment<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Header<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct Attachment<'a> {
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(rename = "Content")]
    content: String,
    #[serde(rename = "ContentType")]
    content_type: String,
    #[serde(rename = "ContentID", skip_serializing_if = "Option::is_none")]
    content_id: Option<String>,
}

impl Postmark {
    pub(super) fn new(token: &str) -> Result<Self, &'static str> {
        if token.is_empty() {
            return Err("password must be the server's token");
        }
        Ok(Self { token: secret(token)? })
    }

    pub(super) fn draft(&self, message: &Message) -> Result<Draft, String> {
        let parsed = MessageParser::new().parse(&message.text).ok_or("the message cannot be read again")?;
        // A header's lines are one value.
        let unfolded: Vec<(&str, String)> =
            parsed.headers_raw().map(|(name, value)| (name, value.trim().replace("\r\n", ""))).collect();
        let value = |wanted: &str| {
            unfolded.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
        };
        let mut headers = vec![Header { name: "X-PM-KeepID", value: "true" }];
        let mut metadata = BTreeMap::new();
        for (name, value) in &unfolded {
            let lower = name.to_ascii_lowercase();
            if lower.starts_with(METADATA) {
                metadata.insert(&name[METADATA.len()..], value.as_str());
            } else if !OWN.contains(&lower.as_str()) && ![STREAM, TAG].contains(&lower.as_str()) {
                headers.push(Header { name, value });
            }
        }
        let attachments = parsed.attachments().map(|part| {
            let content_type = part.content_type().map_or_else(
                || "application/octet-stream".to_owned(),
                |media| format!("{}/{}", media.ctype(), media.subtype().unwrap_or("octet-stream")),
            );
            // Texts are read as Unicode, whatever they were.
            let charset =
                if matches!(part.body, PartType::Text(_) | PartType::Html(_)) { "; charset=utf-8" } else { "" };
            Attachment {
                name: part.attachment_name().unwrap_or("file"),
                content: STANDARD.encode(part.contents()),
                content_type: content_type + charset,
                content_id: part.content_id().map(|id| format!("cid:{id}")),
            }
        });
        let html = parsed.html_part(0).filter(|part| matches!(part.body, PartType::Html(_)));
        let email = Email {
            from: parsed.from().and_then(|from| from.first()).map(mailbox).unwrap_or_default(),
            to: parsed.to().and_then(|to| to.first()).map(mailbox).unwrap_or_default(),
            reply_to: value("Reply-To"),
            subject: parsed.subject().unwrap_or_default(),
            text_body: parsed.text_part(0).and_then(|part| part.text_contents()).unwrap_or_default(),
            html_body: html.and_then(|part| part.text_contents()),
            message_stream: value(STREAM),
            tag: value(TAG),
            headers,
            metadata,
            attachments: attachments.collect(),
        };
        Ok(Draft {
            path: "/email".to_owned(),
            headers: vec![("x-postmark-server-token", self.token.clone())],
            content_type: HeaderValue::from_static("application/json"),
            body: serde_json::to_string(&email).map_err(|e| e.to_string())?,
        })
    }
}

/// A name and an address (RFC 5322 3.4); the name is not encoded, since JSON is not ASCII.
fn mailbox(address: &Addr<'_>) -> String {
    let at = address.address().unwrap_or_default();
    match address.name() {
        Some(name) => format!("\"{}\" <{at}>", name.replace('\\', "\\\\").replace('"', "\\\"")),
        None => at.to_owned(),
    }
}

/// By its error code (<https://postmarkapp.com/developer/api/overview#error-codes>), where that says more than the status.
pub(super) fn class(said: &Value) -> Option<Class> {
    let is_sender = || said["Message"].as_str().is_some_and(|words| words.contains("'From'"));
    match said["ErrorCode"].as_u64()? {
        // Down for maintenance.
        100 => Some(Class::Throttled),
        // The token, the sender's signature, credits, the account's approval.
        10 | 400 | 401 | 405 | 412 | 413 => Some(Class::NotHandedOver),
        300 if is_sender() => Some(Class::NotHandedOver),
        _ => None,
    }
}
