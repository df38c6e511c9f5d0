//! Amazon SES's API v2, `SendEmail` with the message as it is, signed by AWS's Signature Version 4. SES gives the mail a
//! Message-ID of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Draft, is_word};
use crate::hex;
use crate::mail::{Message, RelaySettings};
use crate::notification::Class;
use crate::outbound::http::Answer;

const PATH: &str = "/v2/email/outbound-emails";
const MEDIA: &str = "application/json";

/// Errors that say nothing of the mail: SES's own, and those that Amazon's services share, with one status or another.
const OF_ACCOUNT: [&str; 14] = [
    "AccountSuspended",
    "SendingPaused",
    "MailFromDomainNotVerified",
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignature",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
];

pub(super) struct Ses {
    key_id: String,
    secret: SecretString,
    region: String,
}

/// What is signed, beside the key.
struct Signed<'a> {
    path: &'a str,
    /// By name, in lower case.
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    service: &'a str,
    /// As `20150830T123600Z`.
    at: &'a str,
}

impl Ses {
    pub(super) fn new(settings: &RelaySettings) -> Result<Self, &'static str> {
        let RelaySettings { host, region, username, password, .. } = settings;
        if username.is_empty() || password.expose_secret().is_empty() {
            return Err("username must be the id of an access key, password its secret");
        }
        if !is_word(username) {
            return Err("username must be one word of ASCII");
        }
        if username.starts_with("ASIA") {
            return Err("username names a temporary key, which ends: give that of a user (AKIA…)");
        }
        // email.eu-west-1.amazonaws.com
        let region_of = |host: &str| host.strip_prefix("email.")?.strip_suffix(".amazonaws.com").map(ToOwned::to_owned);
        let named = region_of(host);
        let region = Some(region.clone()).filter(|region| !region.is_empty()).or(named);
        let region = region.filter(|region| is_word(region)).ok_or("region must say which region's SES it is")?;
        Ok(Self { key_id: username.clone(), secret: password.clone(), region })
    }

    pub(super) fn draft(&self, message: &Message, host: &str, now_ms: i64) -> Draft {
        let content = json!({ "Raw": { "Data": STANDARD.encode(&message.text) } });
        let (from, to): (&str, &str) = (message.returns_to.as_ref(), message.to.as_ref());
        // What it reports later names this sender; the mail's own is in its header.
        let body = json!({ "FromEmailAddress": from, "Content": content, "Destination": { "ToAddresses": [to] } });
        let body = body.to_string();
        let at = jiff::Timestamp::from_millisecond(now_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let at = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let headers = [("content-type", MEDIA), ("host", host), ("x-amz-date", at.as_str())];
        let authorization =
            self.authorization(&Signed { path: PATH, headers: &headers, body: &body, service: "ses", at: &at });
        // Of words that were looked at.
        let header = |value: &str| HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""));
        Draft {
            path: PATH.to_owned(),
            headers: vec![("x-amz-date", header(&at)), ("authorization", header(&authorization))],
            content_type: HeaderValue::from_static(MEDIA),
            body,
        }
    }

    /// The value of the header (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
    fn authorization(&self, signed: &Signed<'_>) -> String {
        let Signed { path, headers, body, service, at } = signed;
        let day = &at[..8];
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request = format!("POST\n{path}\n\n{}\n{names}\n{}", lines.concat(), hex::encode(&Sha256::digest(body)));
        let scope = format!("{day}/{}/{service}/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex::encode(&Sha256::digest(request)));
        let first = format!("AWS4{}", self.secret.expose_secret());
        let key = [day, &self.region, service, "aws4_request"]
            .iter()
            .fold(first.into_bytes(), |key, part| mac(&key, part.as_bytes()));
        let signature = hex::encode(&mac(&key, text.as_bytes()));
        format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", self.key_id)
    }
}

/// # Panics
/// Never: HMAC takes keys of any length.
fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// By the error's type, where that says more than the status.
pub(super) fn class(answer: &Answer, said: &Value) -> Option<Class> {
    let in_header = answer.headers.get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
    let kind = in_header.or_else(|| said["__type"].as_str()?.rsplit('#').next())?;
    let kind = kind.split([':', '#']).next()?.trim_end_matches("Exception");
    let words = said["message"].as_str().or_else(|| said["Message"].as_str()).unwrap_or_default();
    match kind {
        "TooManyRequests" | "LimitExceeded" | "Throttling" => Some(Class::Throttled),
        // The sender, or in SES's sandbox the recipient: no mail from here would be taken.
        "MessageRejected" if words.contains("not verified") => Some(Class::NotHandedOver),
        kind if OF_ACCOUNT.contains(&kind) => Some(Class::NotHandedOver),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Ses, Signed};

    /// `post-vanilla` and `post-x-www-form-urlencoded` of AWS's test suite for Signature Version 4.
    #[test]
    fn requests_are_signed_as_amazon_does() {
        let ses = Ses {
            key_id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".to_owned(),
        };
        let at = "20150830T123600Z";
        let plain = [("host", "example.amazonaws.com"), ("x-amz-date", at)];
        let form = [("content-type", "application/x-www-form-urlencoded"), plain[0], plain[1]];
        for (headers, body, signature) in [
            (&plain[..], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (&form[..], "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ] {
            let said = ses.authorization(&Signed { path: "/", headers, body, service: "service", at });
            assert!(said.ends_with(&format!("Signature={signature}")), "{said}");
            assert!(said.contains("Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"), "{said}");
        }
    }
}
