//! `ecomm backup` and `ecomm restore`: an embedded database in a file, and back.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ecomm::clock::Clock;
use ecomm::host;
use ecomm::store::backup::{self, Replaced};
use secrecy::{ExposeSecret as _, SecretString};

#[derive(clap::Args)]
pub(super) struct BackupArgs {
    /// Where it is written; never over a file that is there.
    file: PathBuf,
    /// The settings; see config.default.toml.
    #[arg(long, env = "ECOMM_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct RestoreArgs {
    /// What `ecomm backup` wrote.
    #[arg(required_unless_present = "in_doubt")]
    file: Option<PathBuf>,
    /// Restores no file: says of all that is queued that it may have been delivered. For databases that were restored with their
    /// own tool, before the first host starts.
    #[arg(long, conflicts_with = "file")]
    in_doubt: bool,
    /// The settings; see config.default.toml.
    #[arg(long, env = "ECOMM_CONFIG")]
    config: Option<PathBuf>,
}

pub(super) async fn back_up(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let config = super::load(args.config.as_deref())?;
    let made = backup::back_up(config.database.url.expose_secret(), &args.file).await?;
    writeln!(
        std::io::stdout(),
        "{}: {} bytes, schema {}, {} notifications queued",
        args.file.display(),
        made.bytes,
        made.schema.unwrap_or_default(),
        made.queued
    )?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let mut config = super::load(args.config.as_deref())?;
    config.database.migrate_on_start = true;
    let Some(file) = args.file else {
        let store = host::open(&config, Clock::system()).await?;
        let marked = store.put_in_doubt().await?;
        store.close().await;
        writeln!(std::io::stdout(), "{}", in_doubt(marked))?;
        return Ok(ExitCode::SUCCESS);
    };
    backup::check(&file).await?;
    let now_ms = Clock::system().now_ms();
    let replaced = Replaced::hold(config.database.url.expose_secret(), now_ms).await?;
    let path = replaced.path().display().to_string();
    let prepared = async {
        let draft = replaced.draft(&file)?;
        let prepared = prepare(config, &draft).await;
        let marked = prepared.inspect_err(|_| backup::discard(&draft)).with_context(|| draft.display().to_string())?;
        anyhow::Ok((draft, marked))
    };
    let (draft, marked) = match prepared.await {
        Ok(prepared) => prepared,
        Err(e) => {
            replaced.let_go().await;
            return Err(e);
        }
    };
    let kept = replaced.by(&draft, now_ms).await.inspect_err(|_| backup::discard(&draft))?;
    let mut says = std::io::stdout();
    writeln!(says, "{path} is restored from {}; {}", file.display(), in_doubt(marked))?;
    if let Some(kept) = kept {
        writeln!(says, "what was there before is {}", kept.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings a draft up to this program's schema, and says of its queue that it is in doubt.
async fn prepare(mut config: ecomm::config::Config, draft: &Path) -> anyhow::Result<u64> {
    // A URL has signs of its own.
    let path = draft.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    config.database.url = SecretString::from(format!("sqlite:{path}"));
    let store = host::open(&config, Clock::system()).await?;
    let prepared = async {
        store.skip_numbers().await?;
        store.put_in_doubt().await
    };
    let marked = prepared.await;
    store.close().await;
    Ok(marked?)
}

fn in_doubt(marked: u64) -> String {
    format!("{marked} queued notifications may have been delivered since: they are sent again as in doubt")
}
