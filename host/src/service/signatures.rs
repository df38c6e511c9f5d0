//! Whose signatures a component has, and whether it may serve.

use serde::Serialize;
use utoipa::ToSchema;

use super::plugins::name;
use super::{Error, Principal, Revision, Service, Slot};
use crate::plugin::{self, LoadError, PublicKey, SIGNATURES_MAX, Signature, Signatures, Signer};
use crate::store::signatures::SignatureRow;

/// A signature of a component, as operators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginSignatureInfo)]
pub struct SignatureInfo {
    /// The signature.
    pub signature: Signature,
    /// Which trusted key it is by; null: none of this host's.
    pub signer: Option<Signer>,
    /// When it was added.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// Who added it.
    pub created_by: String,
}

/// What is known of who signed a component.
pub(super) struct Signed {
    pub(super) signer: Option<Signer>,
    /// Why nobody did who is trusted, where somebody should.
    pub(super) warning: Option<String>,
}

impl Signed {
    pub(super) fn note_in(self, revision: &mut Revision) {
        revision.report.signer = self.signer;
        revision.report.warnings.extend(self.warning);
    }
}

impl Service {
    /// Keeps a signature of an uploaded component. It need not be by a trusted key: keys may be added later. For operators.
    pub async fn add_signature(
        &self,
        who: Principal,
        digest: &str,
        signature: Signature,
    ) -> Result<SignatureInfo, Error> {
        who.must_operate()?;
        let wasm = self.store.component(digest).await?.ok_or(Error::NotFound("component: upload it first"))?;
        self.keep_signature(digest, &signature, &name(who)).await?;
        let keys = self.trusted_keys().await;
        let signer = signature.by(&wasm, digest, &keys).map(PublicKey::signer);
        Ok(SignatureInfo { signature, signer, created_at: self.clock.now_ms(), created_by: name(who) })
    }

    /// The signatures of an uploaded component, the oldest first. For viewers.
    pub async fn signatures(&self, who: Principal, digest: &str) -> Result<Vec<SignatureInfo>, Error> {
        who.must_look()?;
        let wasm = self.store.component(digest).await?.ok_or(Error::NotFound("component"))?;
        let keys = self.trusted_keys().await;
        let rows = self.store.signatures(digest).await?.into_iter();
        Ok(rows
            .filter_map(|row| {
                let signature = read(&row)?;
                let signer = signature.by(&wasm, digest, &keys).map(PublicKey::signer);
                Some(SignatureInfo { signature, signer, created_at: row.created_at, created_by: row.created_by })
            })
            .collect())
    }

    pub(super) async fn keep_signatures(&self, digest: &str, signatures: &[Signature], by: &str) -> Result<(), Error> {
        for signature in signatures {
            self.keep_signature(digest, signature, by).await?;
        }
        Ok(())
    }

    async fn keep_signature(&self, digest: &str, signature: &Signature, by: &str) -> Result<(), Error> {
        signature.check(digest).map_err(|e| Error::invalid("/signature", &e.to_string()))?;
        let content = serde_json::to_string(signature).unwrap_or_default();
        if !self.store.keep_signature(digest, &content, by).await? {
            let why = format!("the component has {SIGNATURES_MAX} signatures, the most that are kept");
            return Err(Error::Conflict(why));
        }
        Ok(())
    }

    /// Who signed a component, by the keys that are trusted now; an error when it must not serve without. What came with
    /// a host needs no signature.
    pub(super) async fn must_be_trusted(
        &self,
        wasm: &[u8],
        digest: &str,
        beside: &[Signature],
    ) -> Result<Signed, Error> {
        // By its bytes: what a row says of them, somebody may have written.
        let found = plugin::digest(wasm);
        if found != digest {
            let why = format!("the stored bytes are those of {found}, not of {digest}: upload the component again");
            return Err(Error::Refused(LoadError::Untrusted(why)));
        }
        if Slot::ALL.into_iter().any(|slot| plugin::builtin(slot) == wasm) {
            return Ok(Signed { signer: None, warning: None });
        }
        let mut signatures: Vec<Signature> = self.store.signatures(digest).await?.iter().filter_map(read).collect();
        signatures.extend_from_slice(beside);
        let (signer, warning) = self.plugins.trust().signer(wasm, digest, &signatures).await?;
        Ok(Signed { signer, warning })
    }

    /// The same of a revision that was prepared before.
    pub(super) async fn must_still_be_trusted(&self, id: i64) -> Result<(), Error> {
        if self.plugins.trust().signatures == Signatures::Off {
            return Ok(());
        }
        let digest = self.store.revision(id).await?.ok_or(Error::NotFound("revision"))?.digest;
        let wasm = self.store.component(&digest).await?.ok_or(Error::NotFound("component"))?;
        self.must_be_trusted(&wasm, &digest, &[]).await.map(drop)
    }

    /// Without a key that can be read, no signature is by a trusted one; installs say why.
    async fn trusted_keys(&self) -> Vec<PublicKey> {
        self.plugins.trust().keys().await.unwrap_or_else(|e| {
            tracing::error!(error = %e, "the trusted keys cannot be read");
            Vec::new()
        })
    }
}

fn read(row: &SignatureRow) -> Option<Signature> {
    serde_json::from_str(&row.content).ok()
}
