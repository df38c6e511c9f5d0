//! What reads bytes that others made, by name: what the fuzzer (`host/fuzz`) feeds, and the test of its corpora. No reader may panic
//! or go on for ever; what each promises of its answers is asserted.
//!
//! Readers of what only a module knows are in its own `fuzz`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Config;
use crate::link::Links;
use crate::notification::report::{REPORTER_CHARS_MAX, Reading};
use crate::notification::{Payload, REPLY_BYTES_MAX};
use crate::provider::Provider;
use crate::return_path::{Recipient, ReturnPaths};
use crate::{grpc, http, inbound, kit, mail, plugin, proxy};

/// Reads bytes that anybody may have made.
pub type Reader = fn(&[u8]);

/// All of them. A name is also that of its corpus in `host/fuzz`.
pub const READERS: [(&str, Reader); 13] = [
    ("addresses", addresses),
    ("bodies", http::fuzz::bodies),
    ("commands", inbound::fuzz::commands),
    ("components", plugin::fuzz::components),
    ("config", config),
    ("mails", mail::fuzz::mails),
    ("messages", grpc::fuzz::messages),
    ("payloads", payloads),
    ("providers", providers),
    ("queries", http::fuzz::queries),
    ("replies", mail::fuzz::replies),
    ("reports", reports),
    ("schemas", plugin::fuzz::schemas),
];

/// The reader of a name.
///
/// # Panics
/// Where there is none.
pub fn reader(name: &str) -> Reader {
    READERS.iter().find(|(known, _)| *known == name).expect("it is in the list").1
}

/// The parts of an input, which a byte divides that no UTF-8 has; those that are no text are left out.
pub(crate) fn texts(bytes: &[u8]) -> impl Iterator<Item = &str> {
    bytes.split(|byte| *byte == 0xff).filter_map(|part| std::str::from_utf8(part).ok())
}

/// Waits for what waits for nothing but a [`Peer`].
pub(crate) fn run<T>(reading: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(reading))
}

/// Who says what was written down before, whatever it is told.
#[derive(Debug)]
pub(crate) struct Peer {
    says: Vec<u8>,
    said: usize,
    /// The most that it says at once.
    piece: usize,
    heard: Arc<AtomicU64>,
}

impl Peer {
    /// Counts in `heard` the bytes that it is told.
    pub(crate) fn new(says: &[u8], piece: usize, heard: Arc<AtomicU64>) -> Self {
        Self { says: says.to_vec(), said: 0, piece, heard }
    }
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = buf.remaining().min(self.piece).min(self.says.len() - self.said);
        buf.put_slice(&self.says[self.said..self.said + length]);
        self.said += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.fetch_add(buf.len() as u64, Ordering::Relaxed);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Tokens of links, addresses that mails come back to, proxies' words, places in registries: nobody who lacks the secret can make one,
/// nor a second spelling of one.
fn addresses(bytes: &[u8]) {
    let secrets = [SecretString::from("a secret that is long enough to be one")];
    let links = Links::new(secrets.iter());
    let ours = "bounces@shop.example".to_owned().try_into().expect("an address");
    let paths = ReturnPaths::new(Some(&ours), secrets.iter()).expect("room for a token");
    for text in texts(bytes) {
        if let Some(claim) = links.read(text, i64::MIN) {
            assert_eq!(links.sign(&claim), text, "another spelling");
        }
        if let Some(Recipient::Mail(id)) = paths.read(text) {
            assert_eq!(paths.of(id), Some(text.to_ascii_lowercase()), "another spelling");
        }
        let network = proxy::Network::try_from(text.to_owned());
        if let Ok(network) = network {
            let written = String::from(network);
            assert_eq!(proxy::Network::try_from(written), Ok(network));
        }
        let trusting = proxy::Settings { trusted: network.into_iter().collect() };
        trusting.client([127, 0, 0, 1].into(), [text.as_bytes(), b"127.0.0.1"].into_iter());
        if let Ok(place) = text.parse::<kit::registry::Address>() {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
    }
}

/// A file of settings, and what the environment says beside it: "NAME=value" for each part behind the first.
fn config(bytes: &[u8]) {
    let mut parts = texts(bytes);
    let file = parts.next().unwrap_or_default();
    let environment = parts.filter_map(|part| part.split_once('='));
    // Those would be read.
    let environment = environment.filter(|(name, _)| !name.to_ascii_lowercase().ends_with("_file"));
    let environment = environment.map(|(name, value)| (format!("{}{name}", crate::config::PREFIX), value.to_owned()));
    let _ = Config::of(Some(("ecomm.toml", file)), environment);
}

/// What is stored of a notification: what can be read can be written, and is then read as the same.
fn payloads(bytes: &[u8]) {
    let Some(mut payload) = std::str::from_utf8(bytes).ok().and_then(|text| Payload::read(text).ok()) else { return };
    let written = serde_json::to_string(&payload).expect("it is JSON");
    assert_eq!(Payload::read(&written).as_ref().ok(), Some(&payload), "{written}");
    let customer = payload.customer.clone();
    payload.redact(&customer);
    payload.merge(payload.clone());
}

/// What providers report; the first byte says which.
fn providers(bytes: &[u8]) {
    let Some((which, body)) = bytes.split_first() else { return };
    let Ok(said) = serde_json::from_slice(body) else { return };
    let all = [Provider::Ses, Provider::Sendgrid, Provider::Mailgun, Provider::Postmark];
    let Ok(readings) = all[usize::from(which % 4)].events(&said) else { return };
    readings.iter().for_each(is_bounded);
}

/// A mail that comes back; the first byte says whether it is from nobody.
fn reports(bytes: &[u8]) {
    let Some((first, mail)) = bytes.split_first() else { return };
    let from_nobody = first % 2 == 1;
    let reading = inbound::read::read(mail, from_nobody);
    assert_eq!(reading, inbound::read::read(mail, from_nobody), "a mail says the same each time");
    assert!(reading.is_some() || !from_nobody, "what a machine sends is noted");
    reading.iter().for_each(is_bounded);
}

/// What is kept of a report has limits, and nothing that a terminal obeys.
fn is_bounded(reading: &Reading) {
    assert!(!reading.said.is_empty());
    for said in &reading.said {
        assert!(said.words.len() <= REPLY_BYTES_MAX && !said.words.contains(char::is_control), "{said:?}");
        assert!(said.reporter.chars().count() <= REPORTER_CHARS_MAX && said.digest.len() == 64, "{said:?}");
        let is_code = |code: &String| {
            let parts: Vec<_> = code.split('.').map(str::parse::<u16>).collect();
            parts.len() == 3 && parts.iter().all(Result::is_ok)
        };
        assert!(said.enhanced.iter().all(is_code), "{said:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use base64::prelude::{BASE64_STANDARD, Engine as _};

    use super::READERS;
    use crate::kit::draw::Draw;

    /// Inputs of each reader that are made of its corpus; `ECOMM_FUZZ_INPUTS` says another number.
    const CHANGED: u64 = 10_000;
    /// The longest input, in bytes.
    const BYTES_MAX: usize = 4_096;

    /// What people wrote, and then what the fuzzer found.
    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let folder = fuzz.join("corpus").join(name);
        let files = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        let written = files.iter().map(|file| std::fs::read(file).expect("its bytes"));
        let found = std::fs::read_to_string(fuzz.join("found").join(name)).expect("what was found");
        let found = found.lines().map(|line| BASE64_STANDARD.decode(line).expect("base64"));
        written.chain(found).collect()
    }

    /// An input with a few changes: bytes set, taken out, repeated, or taken from another input.
    fn changed(draw: &mut Draw, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut at = |n: usize| usize::try_from(draw.below(n as u64)).expect("small");
        let mut bytes = corpus[at(corpus.len())].clone();
        for _ in 0..=at(4) {
            let (from, length) = (at(bytes.len() + 1), at(16));
            let to = (from + length).min(bytes.len());
            match at(4) {
                0 if from < bytes.len() => bytes[from] = u8::try_from(at(256)).expect("a byte"),
                0 | 1 => drop(bytes.drain(from..to)),
                2 => {
                    let again = bytes[from..to].repeat(at(8));
                    bytes.splice(from..from, again);
                }
                _ => {
                    let other = &corpus[at(corpus.len())];
                    let start = at(other.len() + 1);
                    let end = (start + at(64)).min(other.len());
                    bytes.splice(from..to, other[start..end].iter().copied());
                }
            }
            bytes.truncate(BYTES_MAX);
        }
        bytes
    }

    /// What a fuzzer found once stays found, and what is near it is tried each time.
    #[test]
    fn whatever_is_read_nothing_panics() {
        let inputs = std::env::var("ECOMM_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(CHANGED);
        for (name, read) in READERS {
            let corpus = corpus(name);
            assert!(!corpus.is_empty(), "{name} has no corpus");
            let read = |bytes: &[u8]| {
                let is_fine = std::panic::catch_unwind(|| read(bytes)).is_ok();
                assert!(is_fine, "{name}: {}", bytes.escape_ascii());
            };
            for bytes in &corpus {
                read(bytes);
            }
            let mut draw = Draw::seeded(1);
            for _ in 0..inputs {
                read(&changed(&mut draw, &corpus));
            }
        }
    }

    #[test]
    fn each_corpus_has_a_reader() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let mut found: Vec<_> = corpora.read_dir().expect("corpora").map(|file| file.expect("one").path()).collect();
        found.sort();
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, READERS.map(|(name, _)| name));
    }
}
