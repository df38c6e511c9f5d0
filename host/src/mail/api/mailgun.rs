//! Mailgun's API v3, `messages.mime`: the message as it is, as a part of a form (RFC 7578).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

use super::{Draft, secret};
use crate::mail::Message;

/// The variable by which its webhook says which mail it is about: it chooses the envelope's sender itself.
const RETURN_PATH: &str = "return-path";

pub(super) struct Mailgun {
    path: String,
    authorization: HeaderValue,
}

impl Mailgun {
    pub(super) fn new(domain: &str, key: &str) -> Result<Self, &'static str> {
        if key.is_empty() {
            return Err("password must be the API key");
        }
        let is_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if domain.is_empty() || !domain.chars().all(is_domain) {
            return Err("domain must be the domain that sends, as Mailgun lists it");
        }
        let authorization = secret(&format!("Basic {}", STANDARD.encode(format!("api:{key}"))))?;
        Ok(Self { path: format!("/v3/{domain}/messages.mime"), authorization })
    }

    pub(super) fn draft(&self, message: &Message) -> Draft {
        // No line of the message begins with its own hash.
        let boundary = &message.hash;
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n{}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"v:{RETURN_PATH}\"\r\n\r\n{}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"message\"; filename=\"message.eml\"\r\n\
             Content-Type: message/rfc822\r\n\r\n{}\r\n--{boundary}--\r\n",
            message.to, message.returns_to, message.text
        );
        let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
        Draft {
            path: self.path.clone(),
            headers: vec![("authorization", self.authorization.clone())],
            content_type: content_type.unwrap_or_else(|_| HeaderValue::from_static("multipart/form-data")),
            body,
        }
    }
}
