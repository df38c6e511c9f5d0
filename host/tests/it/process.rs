//! Hosts as processes of their own, and a relay that outlives them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ecomm::clock::Clock;
use ecomm::mail::mailbox::Mailbox;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{Client, eventually};
use crate::database::Database;

/// The program that these tests are of.
pub const OURS: &str = env!("CARGO_BIN_EXE_ecomm");

/// A relay that keeps what it took.
pub struct Sink {
    pub mailbox: Mailbox,
    /// Ends it.
    pub stop: DropGuard,
    /// What a host needs to be told, so that its mails go there.
    pub settings: [(String, String); 2],
}

impl Sink {
    /// Of the last `messages_max` mails.
    pub async fn start(database: &Database, messages_max: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mailbox = Mailbox::new(std::path::PathBuf::new(), messages_max, None, Clock::system());
        let (stop, serving) = (CancellationToken::new(), mailbox.clone());
        let stopped = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the sink")]
        tokio::spawn(async move { serving.serve(listener, stopped).await });
        let config = database.folder.path().join("ecomm.toml");
        let relay = format!("[[mail.relays]]\nname = \"sink\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n");
        std::fs::write(&config, relay).unwrap();
        let settings = [("ECOMM_CONFIG", &*config.display().to_string()), ("ECOMM__MAILBOX__ENABLED", "false")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self { mailbox, stop: stop.drop_guard(), settings }
    }
}

pub fn command(program: impl AsRef<Path>, args: &[&str], settings: &[(String, String)]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(args).envs(settings.iter().cloned());
    command
}

pub fn create_admin(program: impl AsRef<Path>, settings: &[(String, String)], password: &str) {
    let mut admin = command(program, &["admin", "create", "--email", "admin@shop.example"], settings);
    let mut admin = admin.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    admin.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    assert!(admin.wait().unwrap().success());
}

/// Stops a host as an operator does, and waits until it has.
pub fn terminate(host: &mut Child) {
    assert!(Command::new("kill").args(["-TERM", &host.id().to_string()]).status().unwrap().success());
    assert!(host.wait().unwrap().success());
}

pub fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub async fn ready(client: &Client) {
    eventually("ready", async || {
        client.http.get(format!("{}/readyz", client.base)).send().await.is_ok_and(|r| r.status().is_success())
    })
    .await;
}
