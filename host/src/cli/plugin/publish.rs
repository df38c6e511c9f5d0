//! Components on their way from an author to a shop: keys, signatures, registries. No database, no secret of the shop's.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use ecomm::kit::Project;
use ecomm::kit::registry::{Address, Pulled, Registry};
use ecomm::kit::sign::{self, PrivateKey};
use ecomm::plugin::{self, PublicKey, Signature};
use serde_json::json;

use super::{read, say, show};

/// Which registry, and how to speak to it.
#[derive(clap::Args)]
pub(super) struct Speaking {
    /// Speak to the registry without TLS.
    #[arg(long)]
    plain_http: bool,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a pair of keys for signatures, Ed25519: NAME.key, encrypted with a password as cosign does, and NAME.pub. The
    /// password is `$COSIGN_PASSWORD`, or a line on standard input.
    Keygen {
        /// Where, and how the files begin.
        name: PathBuf,
    },
    /// Sign a component; its signature goes beside it, into FILE.sig.
    Sign {
        /// A project, or a component's file.
        #[arg(default_value = ".")]
        file: PathBuf,
        /// The private key: of `ecomm plugin keygen`, of cosign, or of openssl (PKCS #8).
        #[arg(long)]
        key: PathBuf,
    },
    /// Ask whether a component is signed by a key. Ends with status 0 when it is, 1 when it is not.
    Verify {
        /// A component's file, or its address in a registry.
        file: String,
        /// Public keys; one of them suffices.
        #[arg(long, required = true)]
        key: Vec<PathBuf>,
        /// The file of its signature; FILE.sig when none.
        #[arg(long)]
        signature: Option<PathBuf>,
        #[command(flatten)]
        speaking: Speaking,
    },
    /// Put a component into an OCI registry, and its signature beside it.
    Push {
        /// A project, or a component's file.
        file: PathBuf,
        /// `oci://HOST[:PORT]/NAME:TAG`
        address: Address,
        /// Sign it by this private key, where cosign looks for signatures.
        #[arg(long)]
        key: Option<PathBuf>,
        #[command(flatten)]
        speaking: Speaking,
    },
    /// Get a component out of an OCI registry.
    Pull {
        /// `oci://HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`
        address: Address,
        /// Where to write it.
        #[arg(long, default_value = "plugin.wasm")]
        out: PathBuf,
        /// Write nothing unless it is signed by one of these public keys.
        #[arg(long)]
        key: Vec<PathBuf>,
        #[command(flatten)]
        speaking: Speaking,
    },
}

pub(super) async fn run(command: Command, config: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    let said = match command {
        Command::Keygen { name } => {
            let (secret, public) = sign::generate(&name, &password("for the new key", crate::cli::password::choose)?)?;
            json!({ "private": secret, "public": public })
        }
        Command::Sign { file, key } => {
            let (wasm, file) = component(&file).await?;
            let signature = private(&key)?.sign_component(&wasm).signature;
            let path = plugin::signature_file(&file);
            tokio::fs::write(&path, &signature).await.with_context(|| path.display().to_string())?;
            json!({ "signature": path })
        }
        Command::Verify { file, key, signature, speaking } => {
            let keys = public(&key).await?;
            let (wasm, signatures) = if file.starts_with("oci://") {
                let Pulled { wasm, signatures, .. } = pull(&file.parse()?, &speaking, bytes_max(config)?).await?;
                (wasm, signatures)
            } else {
                let file = PathBuf::from(file);
                (read(&file).await?, signatures_of(&file, signature.as_deref()).await?)
            };
            must_be_signed(&wasm, &signatures, &keys)?
        }
        Command::Push { file, address, key, speaking } => {
            let (wasm, _) = component(&file).await?;
            let contents = plugin::contents(&wasm)?;
            let key = key.as_deref().map(private).transpose()?;
            let pushed = Registry::new(speaking.plain_http).push(&address, &wasm, &contents, key.as_ref()).await?;
            json!({ "pushed": pushed.to_string(), "component": plugin::digest(&wasm), "signed": key.is_some() })
        }
        Command::Pull { address, out, key, speaking } => {
            let Pulled { wasm, address, signatures } = pull(&address, &speaking, bytes_max(config)?).await?;
            if !key.is_empty() {
                must_be_signed(&wasm, &signatures, &public(&key).await?)?;
            }
            tokio::fs::write(&out, &wasm).await.with_context(|| out.display().to_string())?;
            let digest = plugin::digest(&wasm);
            json!({ "pulled": address.to_string(), "component": digest, "file": out, "signatures": signatures.len() })
        }
    };
    say(&if json { show(&said)? } else { lines(&said) })?;
    Ok(ExitCode::SUCCESS)
}

/// The largest component that is taken.
fn bytes_max(config: Option<&Path>) -> anyhow::Result<usize> {
    Ok(super::super::load_for_authors(config)?.plugins.component_bytes_max)
}

/// A component and its signatures out of a registry.
async fn pull(address: &Address, speaking: &Speaking, bytes_max: usize) -> anyhow::Result<Pulled> {
    Ok(Registry::new(speaking.plain_http).pull(address, bytes_max).await?)
}

/// The same of an address that names the same bytes for ever.
pub(super) async fn pull_pinned(address: &Address, speaking: &Speaking, bytes_max: usize) -> anyhow::Result<Pulled> {
    if !address.is_pinned() {
        let pinned = Registry::new(speaking.plain_http).pinned(address).await?;
        bail!(
            "{address} can name something else tomorrow; what it names now is {pinned}: look at it, then install that"
        );
    }
    pull(address, speaking, bytes_max).await
}

/// Those in a named file, or beside the component's.
pub(super) async fn signatures_of(file: &Path, signature: Option<&Path>) -> anyhow::Result<Vec<Signature>> {
    match signature {
        Some(path) => Ok(vec![Signature::detached(&read(path).await?)]),
        None => Ok(plugin::signatures_beside(file).await?),
    }
}

fn must_be_signed(wasm: &[u8], signatures: &[Signature], keys: &[PublicKey]) -> anyhow::Result<serde_json::Value> {
    let digest = plugin::digest(wasm);
    let Some(key) = signatures.iter().find_map(|signature| signature.by(wasm, &digest, keys)) else {
        if let Some(why) = signatures.iter().find_map(|signature| signature.check(&digest).err()) {
            bail!("it is not signed by any of the keys: {why}");
        }
        bail!("it is not signed by any of the keys: {} signatures were looked at", signatures.len());
    };
    Ok(json!({ "component": digest, "signer": key.signer() }))
}

/// A project's component, or that of a file.
async fn component(path: &Path) -> anyhow::Result<(Vec<u8>, PathBuf)> {
    if path.is_dir() {
        let project = Project::open(path)?;
        return Ok((project.wasm()?.to_vec(), project.component()));
    }
    Ok((read(path).await?, path.to_owned()))
}

fn private(path: &Path) -> anyhow::Result<PrivateKey> {
    let mut refused = None;
    let key = PrivateKey::open(path, || {
        password(&format!("of {}", path.display()), crate::cli::password::read).unwrap_or_else(|e| {
            refused = Some(e);
            String::new()
        })
    });
    match refused {
        Some(e) => Err(e),
        None => Ok(key?),
    }
}

async fn public(paths: &[PathBuf]) -> anyhow::Result<Vec<PublicKey>> {
    let mut keys = Vec::new();
    for path in paths {
        keys.push(PublicKey::read(path).await?);
    }
    Ok(keys)
}

/// The variable is cosign's, so that one setting does for both.
fn password(what: &str, ask: fn(&str) -> anyhow::Result<String>) -> anyhow::Result<String> {
    let prompt = format!("The password {what} (or set COSIGN_PASSWORD)");
    std::env::var("COSIGN_PASSWORD").or_else(|_| ask(&prompt))
}

fn lines(said: &serde_json::Value) -> String {
    let rows = said.as_object().into_iter().flatten().map(|(key, value)| match value.as_str() {
        Some(text) => format!("{key}: {text}"),
        None => format!("{key}: {value}"),
    });
    rows.collect::<Vec<_>>().join("\n")
}
