//! `ecomm login` and `ecomm logout`: sessions at hosts far away, in a file that is its user's alone.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ecomm::clock::{Clock, rfc3339};
use ecomm::grpc::client::{Client, Error, Server};
use ecomm::service::Session;
use serde::{Deserialize, Serialize};

use super::output::say;
use super::password;
use super::shop::ServerArgs;

/// A token that ends within this time is renewed before it is used, in milliseconds.
const SOON_MS: i64 = 30_000;
/// Tokens are not renewed more often than that.
const RENEW_AGAIN: Duration = Duration::from_secs(2);
/// How long a renewal may take: other commands wait for it.
const RENEWAL: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(super) struct LogIn {
    #[command(flatten)]
    at: ServerArgs,
    /// Whose session; asked for when none.
    #[arg(long)]
    email: Option<String>,
}

/// A session at a host.
#[derive(Serialize, Deserialize)]
struct Kept {
    email: String,
    access_token: String,
    #[serde(with = "rfc3339")]
    expires_at: i64,
    refresh_token: String,
    #[serde(with = "rfc3339")]
    refresh_expires_at: i64,
    /// Its user said that it may be shown without TLS.
    #[serde(default)]
    no_tls: bool,
}

impl Kept {
    fn new(email: String, session: Session, no_tls: bool) -> Self {
        let Session { access_token, expires_at, refresh_token, refresh_expires_at, id: _, user_id: _ } = session;
        Self { email, access_token, expires_at, refresh_token, refresh_expires_at, no_tls }
    }
}

/// What lets a command in at a host.
pub(super) struct Token {
    pub(super) text: String,
    /// Until when, unix milliseconds; none of one that was given.
    expires_at: Option<i64>,
}

/// The sessions of this user, by the address of their host. One command at a time has them.
struct Sessions {
    path: PathBuf,
    kept: BTreeMap<String, Kept>,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Sessions {
    fn open() -> anyhow::Result<Self> {
        let path = path()?;
        let folder = path.parent().context("the sessions' file has no folder")?;
        let cannot = |what: &Path| format!("cannot keep sessions in {}", what.display());
        std::fs::create_dir_all(folder).with_context(|| cannot(folder))?;
        let lock = folder.join("sessions.lock");
        let lock = private().truncate(false).open(&lock).with_context(|| cannot(&lock))?;
        lock.lock().with_context(|| cannot(&path))?;
        let kept = match std::fs::read(&path) {
            Ok(text) => {
                must_be_private(&path)?;
                serde_json::from_slice(&text)
                    .with_context(|| format!("{} is damaged: remove it, and log in again", path.display()))?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self { path, kept, _lock: lock })
    }

    /// Written as a whole or not at all.
    fn write(&self) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let next = self.path.with_extension("next");
        // What a command left that was killed has not been there for anybody's eyes.
        let _ = std::fs::remove_file(&next);
        let mut file = private().create_new(true).open(&next).with_context(cannot)?;
        file.write_all(serde_json::to_string_pretty(&self.kept)?.as_bytes()).with_context(cannot)?;
        file.sync_all().with_context(cannot)?;
        std::fs::rename(&next, &self.path).with_context(cannot)
    }
}

fn path() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    Ok(folder.context("neither XDG_CONFIG_HOME nor HOME says where sessions are kept")?.join("ecomm/sessions.json"))
}

/// To write a file that nobody else can read.
fn private() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn must_be_private(path: &Path) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("others can read {}: remove it, and log in again", path.display());
        }
    }
    Ok(())
}

/// Logs in, and keeps the session.
pub(super) async fn log_in(args: LogIn) -> anyhow::Result<ExitCode> {
    let LogIn { at, email } = args;
    let server = at.server().await?;
    must_be_private_to(&server, at.no_tls, "the password")?;
    // Before anybody types a password for nothing.
    drop(Sessions::open()?);
    let client = Client::connect(&server, None).await?;
    let email = match email {
        Some(email) => email,
        None if std::io::stdin().is_terminal() => asked("E-mail address: ")?,
        None => bail!("--email must be given"),
    };
    let password = password::read(&format!("Password of {email} at {}", server.name()))?;
    let session = client.log_in(&email, &password).await?;
    let until = rfc3339::text(session.refresh_expires_at);
    let mut sessions = Sessions::open()?;
    let replaced = sessions.kept.insert(server.name(), Kept::new(email.clone(), session, at.no_tls));
    sessions.write()?;
    drop(sessions);
    if let Some(replaced) = replaced {
        // One that is not ended here ends by itself.
        let _ = end(&server, &replaced.access_token).await;
    }
    say(&format!("logged in at {} as {email}, until {until} at least", server.name()))?;
    Ok(ExitCode::SUCCESS)
}

/// What somebody types after a prompt.
pub(super) fn asked(prompt: &str) -> anyhow::Result<String> {
    let mut stderr = std::io::stderr();
    stderr.write_all(prompt.as_bytes())?;
    stderr.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Ends the session at a host, there and here.
pub(super) async fn log_out(at: ServerArgs) -> anyhow::Result<ExitCode> {
    let server = at.server().await?;
    if !Sessions::open()?.kept.contains_key(&server.name()) {
        say(&format!("not logged in at {}", server.name()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let ended = async { anyhow::Ok(end(&server, &kept(&server, at.no_tls).await?.text).await?) };
    let ended = ended.await;
    let mut sessions = Sessions::open()?;
    sessions.kept.remove(&server.name());
    sessions.write()?;
    ended.context("forgotten here; at the host the session may go on until it ends by itself")?;
    say(&format!("logged out at {}", server.name()))?;
    Ok(ExitCode::SUCCESS)
}

async fn end(server: &Server, token: &str) -> Result<(), Error> {
    Client::connect(server, Some(token)).await?.log_out().await
}

fn must_be_private_to(server: &Server, no_tls: bool, what: &str) -> anyhow::Result<()> {
    if !server.is_private() && !no_tls {
        bail!("{} would get {what} without TLS: use https, or say --no-tls", server.name());
    }
    Ok(())
}

/// What lets a command in at a host: `$ECOMM_TOKEN`, or that of the kept session.
pub(super) async fn token(server: &Server, no_tls: bool) -> anyhow::Result<Token> {
    match given() {
        Some(text) => {
            must_be_private_to(server, no_tls, "the token")?;
            Ok(Token { text, expires_at: None })
        }
        None => kept(server, no_tls).await,
    }
}

/// Shows a client the next token before its own ends, as long as a command takes.
pub(super) async fn keep(server: &Server, client: &Client, mut token: Token) -> Infallible {
    loop {
        let Some(expires_at) = token.expires_at else { return std::future::pending().await };
        let left_ms = expires_at - Clock::system().now_ms() - SOON_MS / 2;
        tokio::time::sleep(Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()).max(RENEW_AGAIN)).await;
        match kept(server, true).await {
            Ok(next) if client.show(&next.text).is_ok() => token = next,
            // What is asked next is refused, and says why.
            _ => return std::future::pending().await,
        }
    }
}

/// The token of the kept session, renewed where it has to be.
async fn kept(server: &Server, no_tls: bool) -> anyhow::Result<Token> {
    let name = server.name();
    let mut sessions = Sessions::open()?;
    let Some(kept) = sessions.kept.remove(&name) else {
        bail!("not logged in at {name}: run `ecomm login --server {name}`, or set ECOMM_TOKEN");
    };
    must_be_private_to(server, no_tls || kept.no_tls, "the token")?;
    if kept.expires_at - Clock::system().now_ms() > SOON_MS {
        return Ok(Token { text: kept.access_token, expires_at: Some(kept.expires_at) });
    }
    let renewing = async { Client::connect(server, None).await?.renew(&kept.refresh_token).await };
    let renewed = tokio::time::timeout(RENEWAL, renewing).await;
    let session = match renewed.with_context(|| format!("{name} does not answer"))? {
        Ok(session) => session,
        Err(Error::Unauthenticated(_)) => {
            sessions.write()?;
            bail!("the session at {name} has ended: run `ecomm login --server {name}`");
        }
        Err(e) => return Err(e.into()),
    };
    let token = Token { text: session.access_token.clone(), expires_at: Some(session.expires_at) };
    sessions.kept.insert(name, Kept::new(kept.email, session, kept.no_tls));
    sessions.write()?;
    Ok(token)
}

fn given() -> Option<String> {
    std::env::var("ECOMM_TOKEN").ok().filter(|token| !token.is_empty())
}

/// A kept token that the host did not take, as when the two clocks differ, is renewed by the next command.
pub(super) fn refused(server: &Server, error: anyhow::Error) -> anyhow::Error {
    if !matches!(error.downcast_ref(), Some(Error::Unauthenticated(_))) {
        return error;
    }
    if given().is_some() {
        return error.context("ECOMM_TOKEN was not accepted");
    }
    let expire = || {
        let mut sessions = Sessions::open()?;
        if let Some(kept) = sessions.kept.get_mut(&server.name()) {
            kept.expires_at = 0;
        }
        sessions.write()
    };
    match expire() {
        Ok(()) => error.context("the session's token was not accepted: run the command again, which renews it"),
        Err(e) => error.context(format!("the session's token was not accepted, nor can it be renewed: {e}")),
    }
}
