use sha2::{Digest, Sha256};

use super::{ComponentInfo, Error, Principal, Service};

/// A component on its way in: hashed as it comes, and refused at the piece that shows that it cannot be taken. Dropped
/// before its end, it leaves nothing behind.
pub struct Upload<'a> {
    service: &'a Service,
    by: String,
    wasm: Vec<u8>,
    hash: Sha256,
}

impl Service {
    /// Begins to take a component in. For operators.
    pub fn upload(&self, who: Principal) -> Result<Upload<'_>, Error> {
        who.must_operate()?;
        Ok(Upload { service: self, by: super::plugins::name(who), wasm: Vec::new(), hash: Sha256::new() })
    }

    /// Takes a component in that is there as a whole. For operators.
    pub async fn upload_component(&self, who: Principal, wasm: &[u8]) -> Result<ComponentInfo, Error> {
        let mut upload = self.upload(who)?;
        upload.take(wasm)?;
        upload.end().await
    }
}

impl Upload<'_> {
    /// The next piece. An error is final: the rest need not be read.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.service.plugins.check_start(&self.wasm, piece)?;
        self.hash.update(piece);
        self.wasm.extend_from_slice(piece);
        Ok(())
    }

    /// Keeps the component under its digest. It serves nobody yet.
    pub async fn end(self) -> Result<ComponentInfo, Error> {
        let metadata = self.service.plugins.inspect(&self.wasm)?;
        let digest = crate::hex::encode(&self.hash.finalize());
        self.service.store.keep_component(&digest, &self.wasm, &metadata.to_string(), &self.by).await?;
        Ok(ComponentInfo { digest, bytes: i64::try_from(self.wasm.len()).unwrap_or(i64::MAX), metadata })
    }
}
