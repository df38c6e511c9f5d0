//! Whose certificates are taken.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Takes those of the public authorities (Mozilla's), and of those in a PEM file, unless the path is empty.
pub(crate) fn connector(ca_path: &Path) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if !ca_path.as_os_str().is_empty() {
        let unreadable = |e: &dyn std::fmt::Display| format!("{}: {e}", ca_path.display());
        let pem = std::fs::read(ca_path).map_err(|e| unreadable(&e))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(|e| unreadable(&e))?).map_err(|e| unreadable(&e))?;
        }
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()).into())
}
