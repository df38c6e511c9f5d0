//! Where servers send back what they could not deliver: an address of each mail's own (VERP), so that whoever reports, in
//! whatever form, says which mail it was. Pure.
//!
//! The address is that of the settings with a token behind a plus sign (a sub-address, RFC 5233), in letters that no server
//! changes the case of to any effect. The token is the notification's number and its MAC (HMAC-SHA-256, cut to 80 bits as
//! RFC 2104 5 allows): nobody makes up a bounce of a mail that they have not seen.

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use secrecy::SecretString;

use crate::mac::Keys;
use crate::shop::text::Email;

const ID_BYTES: usize = 6;
const MAC_BYTES: usize = 10;
const TOKEN_CHARS: usize = ((ID_BYTES + MAC_BYTES) * 8).div_ceil(5);
/// The longest part before the @ (RFC 5321 4.5.3.1.1).
const LOCAL_CHARS_MAX: usize = 64;
/// The longest part before the @ of the address that reports come to.
pub const LOCAL_CHARS_OF_OURS_MAX: usize = LOCAL_CHARS_MAX - 1 - TOKEN_CHARS;

/// Whom a report came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The address of one mail, by its notification's number.
    Mail(i64),
    /// The address that is nobody's own: which mail it is about, the report has to say.
    Any,
}

/// The address has no room for a token.
#[derive(Debug, thiserror::Error)]
#[error(
    "mail.return_path: before the @ must stand at most {chars_max} ASCII characters: a token of each mail's own comes behind them"
)]
pub struct ReturnPathError {
    chars_max: usize,
}

/// Makes and reads these addresses. Cheap to clone.
#[derive(Clone)]
pub struct ReturnPaths(Option<Arc<Inner>>);

struct Inner {
    local: String,
    domain: String,
    keys: Keys,
}

impl ReturnPaths {
    /// `secrets` begins with the one in use. Without an address mails come back to their sender.
    pub fn new<'a>(
        address: Option<&Email>,
        secrets: impl Iterator<Item = &'a SecretString>,
    ) -> Result<Self, ReturnPathError> {
        let Some(address) = address else { return Ok(Self::none()) };
        let (local, _) = address.as_str().rsplit_once('@').unwrap_or_default();
        if local.len() > LOCAL_CHARS_OF_OURS_MAX || !local.is_ascii() {
            return Err(ReturnPathError { chars_max: LOCAL_CHARS_OF_OURS_MAX });
        }
        let keys = Keys::new(secrets, b"ecomm return path");
        Ok(Self(Some(Arc::new(Inner { local: local.to_owned(), domain: address.domain().to_owned(), keys }))))
    }

    /// Mails come back to their sender.
    pub fn none() -> Self {
        Self(None)
    }

    /// Where a mail comes back to.
    pub fn of(&self, id: i64) -> Option<String> {
        let Inner { local, domain, keys } = &**self.0.as_ref()?;
        let id = id.to_be_bytes();
        let (rest, id) = id.split_at_checked(8 - ID_BYTES)?;
        let token = [id, &keys.each(id).next()?[..MAC_BYTES]].concat();
        let token = BASE32_NOPAD.encode(&token).to_ascii_lowercase();
        rest.iter().all(|byte| *byte == 0).then(|| format!("{local}+{token}@{domain}"))
    }

    /// Whom an address is for; none if it is none of ours, or its token was changed or made up.
    pub fn read(&self, address: &str) -> Option<Recipient> {
        let Inner { local, domain, keys } = &**self.0.as_ref()?;
        let (to, _) = address.rsplit_once('@').filter(|(_, at)| at.eq_ignore_ascii_case(domain))?;
        let (begins, rest) = to.split_at_checked(local.len())?;
        if !begins.eq_ignore_ascii_case(local) {
            return None;
        }
        if rest.is_empty() {
            return Some(Recipient::Any);
        }
        let token = rest.strip_prefix('+').filter(|token| token.len() == TOKEN_CHARS)?;
        let said = BASE32_NOPAD.decode(token.to_ascii_uppercase().as_bytes()).ok()?;
        let (id, seal) = said.split_at_checked(ID_BYTES)?;
        let number = id.iter().fold(0, |number, byte| number << 8 | i64::from(*byte));
        keys.made(id, seal).then_some(Recipient::Mail(number))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::{LOCAL_CHARS_MAX, LOCAL_CHARS_OF_OURS_MAX, Recipient, ReturnPaths};
    use crate::shop::text::Email;

    fn paths(address: &str, secrets: &[&str]) -> ReturnPaths {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        let address = Email::try_from(address.to_owned()).expect("an address");
        ReturnPaths::new(Some(&address), secrets.iter()).expect("room for a token")
    }

    #[test]
    fn an_address_says_which_mail_it_was_however_its_case_is_changed() {
        let ours = paths("bounces@mail.shop.example", &["new", "old"]);
        for id in [1, 255, 1 << 40, (1 << 48) - 1] {
            let address = ours.of(id).expect("an address");
            assert_eq!(ours.read(&address), Some(Recipient::Mail(id)), "{address}");
            assert_eq!(ours.read(&address.to_uppercase()), Some(Recipient::Mail(id)), "{address}");
            let before = paths("bounces@mail.shop.example", &["old"]).of(id).expect("an address");
            assert_eq!(ours.read(&before), Some(Recipient::Mail(id)));
        }
        assert_eq!(ours.of(1 << 48), None);
        assert_eq!(ours.read("bounces@mail.shop.example"), Some(Recipient::Any));
        let none = ReturnPaths::new(None, std::iter::empty()).expect("none");
        assert_eq!((none.of(1), none.read("bounces@mail.shop.example")), (None, None));
    }

    #[test]
    fn the_longest_address_fits() {
        let local = "a".repeat(LOCAL_CHARS_OF_OURS_MAX);
        let made = paths(&format!("{local}@shop.example"), &["secret"]).of(7).expect("an address");
        let (before, _) = made.split_once('@').expect("an @");
        assert_eq!(before.len(), LOCAL_CHARS_MAX);
        assert!(Email::try_from(made).is_ok());
        let longer = Email::try_from(format!("a{local}@shop.example")).expect("an address");
        assert!(ReturnPaths::new(Some(&longer), std::iter::empty()).is_err());
    }

    #[test]
    fn what_was_changed_or_is_another_shop_s_says_nothing() {
        let (ours, theirs) = (paths("bounces@shop.example", &["ours"]), paths("bounces@shop.example", &["theirs"]));
        let address = ours.of(7).expect("an address");
        assert_eq!(theirs.read(&address), None);
        let (_, token) = address.split_once('+').and_then(|(_, rest)| rest.split_once('@')).expect("a token");
        let at = address.find(token).unwrap_or_default();
        for place in at..address.len() - "@shop.example".len() {
            // The last letter has bits that say nothing: only whole tokens are taken.
            let mut forged = address.clone().into_bytes();
            forged[place] = if forged[place] == b'a' { b'b' } else { b'a' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_eq!(ours.read(&forged), None, "{forged}");
        }
        for other in [
            "",
            "@",
            "bounces",
            "bounces+@shop.example",
            "bounces+a@shop.example",
            "bouncesx@shop.example",
            "bounces@other.example",
            "orders@shop.example",
            "b\u{f6}unces@shop.example",
            "bounces+é@shop.example",
        ] {
            assert_eq!(ours.read(other), None, "{other}");
        }
    }
}
