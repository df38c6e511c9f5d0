//! Where a component is: `oci://HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

/// Where a component is in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(super) reference: Reference,
}

/// Why a text is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no address in a registry ({why}): expected oci://HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]")]
pub struct AddressError {
    text: String,
    why: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |why: &str| AddressError { text: text.to_owned(), why: why.to_owned() };
        let rest = text.strip_prefix("oci://").ok_or_else(|| refuse("it does not begin with oci://"))?;
        // Without a host, a well-known one would be meant: not by us.
        let host = rest.split_once('/').map(|(host, _)| host).unwrap_or_default();
        if !(host.contains(['.', ':']) || host == "localhost") {
            return Err(refuse("it names no host"));
        }
        let reference: Reference = rest.parse().map_err(|e: oci_client::ParseError| refuse(&e.to_string()))?;
        if reference.digest().is_some_and(|digest| !digest.starts_with("sha256:")) {
            return Err(refuse("its digest is not SHA-256"));
        }
        // The parser adds "latest"; who wants that says so.
        let named = rest.split('@').next().unwrap_or_default();
        let has_tag = named.rsplit('/').next().is_some_and(|name| name.contains(':'));
        if !has_tag && reference.digest().is_none() {
            return Err(refuse("it has neither tag nor digest"));
        }
        Ok(Self { reference })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}", self.reference.whole())
    }
}

impl Address {
    /// Whether it names the same bytes for ever.
    pub fn is_pinned(&self) -> bool {
        self.reference.digest().is_some()
    }

    /// What its tag names, if it has one.
    pub(super) fn by_tag(&self) -> Option<Reference> {
        let tag = self.reference.tag()?;
        Some(Reference::with_tag(self.registry(), self.repository(), tag.to_owned()))
    }

    /// The manifest's digest, where it is pinned.
    pub fn digest(&self) -> Option<&str> {
        self.reference.digest()
    }

    pub(super) fn with_digest(&self, digest: &str) -> Self {
        let (registry, repository, digest) = (self.registry(), self.repository(), digest.to_owned());
        let reference = match self.reference.tag() {
            Some(tag) => Reference::with_tag_and_digest(registry, repository, tag.to_owned(), digest),
            None => Reference::with_digest(registry, repository, digest),
        };
        Self { reference }
    }

    pub(super) fn without_tag(&self) -> Self {
        let digest = self.reference.digest().unwrap_or_default().to_owned();
        Self { reference: Reference::with_digest(self.registry(), self.repository(), digest) }
    }

    /// Where cosign puts the signatures of what is pinned: a tag made of the digest.
    pub(super) fn signatures(&self) -> Reference {
        let tag = self.reference.digest().unwrap_or_default().replace(':', "-") + ".sig";
        Reference::with_tag(self.registry(), self.repository(), tag)
    }

    fn registry(&self) -> String {
        self.reference.registry().to_owned()
    }

    fn repository(&self) -> String {
        self.reference.repository().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let pin = format!("sha256:{}", "a".repeat(64));
        for text in [
            "oci://127.0.0.1:5000/shop/mails:1.0".to_owned(),
            format!("oci://registry.example/shop/mails:1.0@{pin}"),
            format!("oci://localhost/mails@{pin}"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let pinned: Address = format!("oci://registry.example/mails:1.0@{pin}").parse().unwrap();
        assert!(pinned.is_pinned());
        assert_eq!(pinned.by_tag().unwrap().whole(), "registry.example/mails:1.0");
        assert_eq!(pinned.without_tag().to_string(), format!("oci://registry.example/mails@{pin}"));
        assert_eq!(pinned.signatures().whole(), format!("registry.example/mails:sha256-{}.sig", "a".repeat(64)));
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, why) in [
            ("registry.example/mails:1", "it does not begin with oci://"),
            ("oci://mails:1", "it names no host"),
            ("oci://shop/mails:1", "it names no host"),
            ("oci://registry.example/mails", "it has neither tag nor digest"),
            ("oci://registry.example:5000/mails", "it has neither tag nor digest"),
        ] {
            let said = text.parse::<Address>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("\"{text}\" is no address in a registry ({why})")), "{said}");
        }
        assert!("oci://registry.example/Mails:1".parse::<Address>().is_err());
    }
}
