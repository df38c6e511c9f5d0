//! Certificates that this host shows to its clients (TLS): read from files, and read again when these change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::{Clock, rfc3339};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One of the two settings is missing.
    #[error("{section}: tls_certificate_path and tls_key_path go together; {missing} is empty")]
    Alone {
        /// The settings' section.
        section: &'static str,
        /// Which is empty.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("{section}: {}: {source}", path.display())]
    File {
        /// The settings' section.
        section: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not valid yet: clocks differ, and it will be.
    #[error("{section}: {}: is not valid before {}", path.display(), rfc3339::text(*from))]
    Early {
        /// The settings' section.
        section: &'static str,
        /// Which file.
        path: PathBuf,
        /// Unix milliseconds.
        from: i64,
    },
    /// A file holds something else, or what has expired.
    #[error("{section}: {}: {why}", path.display())]
    Unfit {
        /// The settings' section.
        section: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key is of another certificate.
    #[error("{section}: the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    OtherKey {
        /// The settings' section.
        section: &'static str,
        /// The key's file.
        key: PathBuf,
        /// The certificate's.
        certificate: PathBuf,
    },
}

/// A certificate and its key, as they were read last.
#[derive(Debug)]
pub struct Certificate {
    section: &'static str,
    chain_path: PathBuf,
    key_path: PathBuf,
    shown: ArcSwap<CertifiedKey>,
    /// Of the bytes that were looked at last, also of those that could not be taken.
    looked_at: Mutex<Vec<u8>>,
}

impl Certificate {
    /// What a section of the settings names; none: it names nothing. What is not valid now (unix milliseconds) is refused.
    pub fn load(
        section: &'static str,
        (chain_path, key_path): (&Path, &Path),
        now_ms: i64,
    ) -> Result<Option<Arc<Self>>, CertificateError> {
        let alone = |missing| Err(CertificateError::Alone { section, missing });
        match (chain_path.as_os_str().is_empty(), key_path.as_os_str().is_empty()) {
            (true, true) => return Ok(None),
            (true, false) => return alone("tls_certificate_path"),
            (false, true) => return alone("tls_key_path"),
            (false, false) => {}
        }
        let files = Files { section, chain_path, key_path };
        let (chain, key) = files.read()?;
        let shown = ArcSwap::new(Arc::new(files.certified(&chain, &key, now_ms)?));
        let looked_at = Mutex::new(digest(&chain, &key));
        let (chain_path, key_path) = (chain_path.to_owned(), key_path.to_owned());
        Ok(Some(Arc::new(Self { section, chain_path, key_path, shown, looked_at })))
    }

    /// Reads the files again if they have changed; true if another certificate is shown from now on. What cannot be taken
    /// leaves the one before.
    pub fn refresh(&self, now_ms: i64) -> Result<bool, CertificateError> {
        let Self { section, chain_path, key_path, .. } = self;
        let files = Files { section, chain_path, key_path };
        let (chain, key) = files.read()?;
        let digest = digest(&chain, &key);
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if *looked_at == digest {
            return Ok(false);
        }
        let certified = files.certified(&chain, &key, now_ms);
        if !matches!(certified, Err(CertificateError::Early { .. })) {
            *looked_at = digest;
        }
        self.shown.store(Arc::new(certified?));
        Ok(true)
    }

    /// Until when it is valid, unix milliseconds.
    pub fn ends_at(&self) -> i64 {
        let shown = self.shown.load();
        shown.cert.first().and_then(|first| validity(first).ok()).map_or(0, |(_, until)| until)
    }

    /// Takes on connections by TLS 1.2 and 1.3, with these protocols above it (ALPN), by preference.
    pub fn acceptor(self: &Arc<Self>, protocols: &[&str]) -> TlsAcceptor {
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.load_full())
    }
}

/// Looks at the files until stopped.
pub async fn watch(certificates: Vec<Arc<Certificate>>, clock: Clock, stop: CancellationToken) {
    while tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await.is_err() {
        refresh(&certificates, &clock);
    }
}

/// Looks at the files now.
pub fn refresh(certificates: &[Arc<Certificate>], clock: &Clock) {
    for certificate in certificates {
        let section = certificate.section;
        match certificate.refresh(clock.now_ms()) {
            Ok(false) => {}
            Ok(true) => tracing::info!(tls.section = section, "another certificate is shown from now on"),
            Err(e) => tracing::error!(error = %e, "the certificate was not replaced; the one before is shown on"),
        }
    }
}

struct Files<'a> {
    section: &'static str,
    chain_path: &'a Path,
    key_path: &'a Path,
}

impl Files<'_> {
    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), CertificateError> {
        let read = |path: &Path| {
            let failed = |source| CertificateError::File { section: self.section, path: path.to_owned(), source };
            std::fs::read(path).map_err(failed)
        };
        Ok((read(self.chain_path)?, read(self.key_path)?))
    }

    fn certified(&self, chain: &[u8], key: &[u8], now_ms: i64) -> Result<CertifiedKey, CertificateError> {
        let unfit =
            |path: &Path, why: String| CertificateError::Unfit { section: self.section, path: path.to_owned(), why };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|e| unfit(self.chain_path, e.to_string()))?;
        let first = chain.first().ok_or_else(|| unfit(self.chain_path, "holds no certificate (PEM)".to_owned()))?;
        let (from, until) = validity(first).map_err(|why| unfit(self.chain_path, why))?;
        if now_ms < from {
            return Err(CertificateError::Early { section: self.section, path: self.chain_path.to_owned(), from });
        }
        if now_ms > until {
            return Err(unfit(self.chain_path, format!("expired on {}", rfc3339::text(until))));
        }
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|e| unfit(self.key_path, format!("holds no private key (PEM): {e}")))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => CertificateError::OtherKey {
                section: self.section,
                key: self.key_path.to_owned(),
                certificate: self.chain_path.to_owned(),
            },
            e => unfit(self.key_path, e.to_string()),
        })
    }
}

/// From when on, and until when.
fn validity(certificate: &CertificateDer<'_>) -> Result<(i64, i64), String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|e| format!("cannot be read: {e}"))?;
    let validity = certificate.validity();
    let ms = |at: x509_parser::time::ASN1Time| at.timestamp().saturating_mul(1_000);
    Ok((ms(validity.not_before), ms(validity.not_after)))
}

fn digest(chain: &[u8], key: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(chain).chain_update([0]).chain_update(key).finalize().to_vec()
}
