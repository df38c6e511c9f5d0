//! What a client of SMTP or LMTP may say; see [`crate::fuzz`].

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use smtp_proto::Request;
use tokio::io::{BufReader, BufWriter};

use super::session::take;
use crate::fuzz::{Peer, run};

/// The largest mail that is taken here, in bytes.
const BYTES_MAX: usize = 2_048;

/// Commands, a line each, and the same as a mail: what is read of it does not depend on the pieces that it comes in.
pub(crate) fn commands(bytes: &[u8]) {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let _ = Request::parse(&mut line.iter());
    }
    let [whole, one, few] = [bytes.len().max(1), 1, 3].map(|piece| {
        let peer = Peer::new(bytes, piece, Arc::new(AtomicU64::new(0)));
        let mut stream = BufReader::with_capacity(16 << 10, BufWriter::new(peer));
        run(take(&mut stream, BYTES_MAX)).map_err(|e| e.kind())
    });
    assert_eq!(whole, one);
    assert_eq!(whole, few);
    if let Ok(Some(mail)) = whole {
        assert!(mail.len() <= BYTES_MAX);
    }
}
