//! Links of mails that do something for one user, without a log-in: what is signed into them, and what is read of them again.
//! Pure.
//!
//! A token is a claim and its MAC (HMAC-SHA-256, cut to 128 bits as RFC 2104 5 allows), in the URL's alphabet of RFC 4648.
//! What makes a link good for one use is its stamp: the store has a number for it that changes when the link was used.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::mac::Keys;
use crate::notification::Notification;
use crate::notification::subject::Subject;
use crate::shop::text::{Email, WebAddress};

/// What a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Says that a mail to an address arrives. Its stamp is [`Links::stamp`] of the address.
    VerifyEmail,
    /// Sets another password. Its stamp counts the user's passwords.
    ResetPassword,
    /// Sends no more mails of a category, and lets one choose. Its stamp is [`Links::choice`] of the address and the category.
    Unsubscribe,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::VerifyEmail, Self::ResetPassword, Self::Unsubscribe];

    /// Never given another meaning: mails with it are out there.
    fn number(self) -> u8 {
        match self {
            Self::VerifyEmail => 1,
            Self::ResetPassword => 2,
            Self::Unsubscribe => 3,
        }
    }

    /// Of the mails that carry such a link.
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "account.verify-email" => Some(Self::VerifyEmail),
            "account.reset-password" => Some(Self::ResetPassword),
            _ => None,
        }
    }
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What its link does.
    pub purpose: Purpose,
    /// For whom.
    pub user_id: i64,
    /// What it is bound to; its meaning is its purpose's.
    pub stamp: i64,
    /// Until when it works, unix milliseconds; none: for ever.
    pub expires_at: Option<i64>,
}

/// Of the stamp of a link to choose mails, those that name the category.
const CATEGORY_BITS: i64 = 3;
const MAC_BYTES: usize = 16;
const CLAIM_BYTES: usize = 25;
/// How long a token is, in characters.
pub const TOKEN_CHARS: usize = (CLAIM_BYTES + MAC_BYTES) * 4 / 3 + 1;

/// Signs and reads tokens, with the hosts' secret and those before it. Cheap to clone.
#[derive(Clone)]
pub struct Links(Keys);

impl Links {
    /// `secrets` begins with the one in use.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a SecretString>) -> Self {
        Self(Keys::new(secrets, b"ecomm link"))
    }

    /// The token of a claim, signed with the secret in use.
    pub fn sign(&self, claim: &Claim) -> String {
        let mut bytes = claim.bytes().to_vec();
        let mac = self.0.each(&bytes).next();
        bytes.extend(mac.iter().flat_map(|mac| &mac[..MAC_BYTES]));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token says; none if no host of ours signed it or its time is over at `now_ms`.
    pub fn read(&self, token: &str, now_ms: i64) -> Option<Claim> {
        // Nothing longer is decoded.
        let bytes = (token.len() == TOKEN_CHARS).then(|| URL_SAFE_NO_PAD.decode(token).ok()).flatten()?;
        let (said, mac) = bytes.split_at_checked(CLAIM_BYTES)?;
        let claim = Claim::read(said).filter(|_| mac.len() == MAC_BYTES && self.0.made(said, mac))?;
        claim.expires_at.is_none_or(|until| now_ms < until).then_some(claim)
    }

    /// What a link to verify an address is bound to: whoever has it can say nothing of another address.
    pub fn stamp(address: &Email) -> i64 {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(address.as_str().as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        i64::from_be_bytes(first)
    }

    /// What a link to choose mails is bound to: the address that the mail went to, and one of up to four categories.
    pub fn choice(address: &Email, category: u8) -> i64 {
        Self::stamp(address) & !CATEGORY_BITS | i64::from(category) & CATEGORY_BITS
    }

    /// The category of such a stamp, and whether it was made for an address.
    pub fn chosen(stamp: i64, address: &Email) -> (u8, bool) {
        let category = u8::try_from(stamp & CATEGORY_BITS).unwrap_or_default();
        (category, Self::choice(address, category) == stamp)
    }

    /// The network that somebody comes from, as far as it is told apart (RFC 6177 gives a site a /48 at the most): a keyed
    /// hash, which says nothing to who has the database alone.
    /// By each secret, the one in use first.
    pub fn networks(&self, user_id: i64, from: IpAddr) -> Vec<String> {
        let network = match from.to_canonical() {
            IpAddr::V4(v4) => v4.octets()[..3].to_vec(),
            IpAddr::V6(v6) => v6.octets()[..6].to_vec(),
        };
        let message = [b"network".as_slice(), &user_id.to_be_bytes(), &network].concat();
        self.0.each(&message).map(|mac| crate::hex::encode(&mac[..MAC_BYTES])).collect()
    }

    /// Puts the token at the end of the link of a mail that is about to be sent. It is not stored: who can read the
    /// database, or look at a stored mail, must not be able to follow it.
    pub fn complete(&self, n: &mut Notification) {
        let to = n.payload.customer.email.clone();
        for url in [&mut n.payload.unsubscribe_url, &mut n.payload.preferences_url] {
            *url = url.take().map(|url| self.for_address(url, &to));
        }
        let (purpose, user_id) = (Purpose::of(&n.payload.kind), n.payload.customer.id);
        let Subject::Account(account) = &mut n.payload.subject else { return };
        let Some((link, purpose)) = account.link.as_mut().zip(purpose) else { return };
        let Some(stamp) = link.stamp else { return };
        let token = self.sign(&Claim { purpose, user_id, stamp, expires_at: link.expires_at });
        // An address that has no room for it stays as it is.
        if let Ok(url) = WebAddress::try_from(format!("{}{token}", link.url.as_str())) {
            link.url = url;
        }
    }

    /// A link to choose mails, as it is for a mail to an address: its customer may have moved since it was made.
    fn for_address(&self, url: WebAddress, to: &Email) -> WebAddress {
        let Some((page, token)) = url.as_str().rsplit_once('/') else { return url };
        let Some(claim) = self.read(token, 0).filter(|claim| claim.purpose == Purpose::Unsubscribe) else { return url };
        let stamp = Self::choice(to, Self::chosen(claim.stamp, to).0);
        format!("{page}/{}", self.sign(&Claim { stamp, ..claim })).try_into().unwrap_or(url)
    }
}

impl Claim {
    fn bytes(&self) -> [u8; CLAIM_BYTES] {
        let mut bytes = [0; CLAIM_BYTES];
        bytes[0] = self.purpose.number();
        bytes[1..9].copy_from_slice(&self.user_id.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.stamp.to_be_bytes());
        bytes[17..].copy_from_slice(&self.expires_at.unwrap_or_default().to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |from: usize| Some(i64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?));
        let purpose = Purpose::ALL.into_iter().find(|purpose| Some(&purpose.number()) == bytes.first())?;
        let expires_at = Some(number(17)?).filter(|until| *until != 0);
        Some(Self { purpose, user_id: number(1)?, stamp: number(9)?, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Links, Purpose, TOKEN_CHARS};
    use secrecy::SecretString;

    fn links(secrets: &[&str]) -> Links {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        Links::new(secrets.iter())
    }

    #[test]
    fn a_token_says_what_was_signed_until_its_time_is_over() {
        let links = links(&["new", "old"]);
        for purpose in Purpose::ALL {
            for expires_at in [None, Some(1_000)] {
                let claim = Claim { purpose, user_id: 7, stamp: -3, expires_at };
                let token = links.sign(&claim);
                assert_eq!(token.len(), TOKEN_CHARS);
                assert_eq!(links.read(&token, 999), Some(claim));
                assert_eq!(links.read(&token, 1_000), expires_at.is_none().then_some(claim));
            }
        }
    }

    #[test]
    fn what_another_signed_or_changed_says_nothing() {
        let (ours, before, theirs) = (links(&["new", "old"]), links(&["old"]), links(&["theirs"]));
        let claim = Claim { purpose: Purpose::ResetPassword, user_id: 1, stamp: 1, expires_at: None };
        assert_eq!(ours.read(&before.sign(&claim), 0), Some(claim));
        assert_eq!(ours.read(&theirs.sign(&claim), 0), None);
        assert_eq!(before.read(&ours.sign(&claim), 0), None);
        let token = ours.sign(&claim);
        for place in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_eq!(ours.read(&forged, 0), None, "{forged}");
        }
        for cut in ["", "A", &token[1..], &token[..token.len() - 1], &format!("{token}A"), &"é".repeat(30)] {
            assert_eq!(ours.read(cut, 0), None, "{cut}");
        }
    }
}
