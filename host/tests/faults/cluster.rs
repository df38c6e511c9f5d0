//! Hosts as processes of their own, each at an address that clients know.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a host may take until it is ready.
const PATIENCE: Duration = Duration::from_mins(2);

/// A place for a host.
pub struct Place {
    pub http: String,
    grpc: String,
    settings: Vec<(String, String)>,
    log: PathBuf,
    host: Option<Child>,
}

impl Place {
    /// Without a host yet.
    pub fn new(settings: &[(String, String)], log: PathBuf) -> Self {
        let address = || format!("127.0.0.1:{}", free_port());
        Self { http: address(), grpc: address(), settings: settings.to_vec(), log, host: None }
    }

    /// More settings for the hosts that are started from now on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Starts a host and waits until it is ready.
    pub async fn start(&mut self, program: &Path) {
        self.launch(program);
        self.ready().await;
    }

    /// Starts a host.
    pub fn launch(&mut self, program: &Path) {
        let log = std::fs::File::options().append(true).create(true).open(&self.log).unwrap();
        let mut command = command(program, &["serve"], &self.settings);
        command.env("ECOMM__HTTP__LISTEN", &self.http).env("ECOMM__GRPC__LISTEN", &self.grpc);
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        self.host = Some(command.spawn().unwrap());
    }

    pub async fn ready(&self) {
        let (client, url) = (reqwest::Client::new(), format!("http://{}/readyz", self.http));
        let asking = async {
            while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let is_ready = tokio::time::timeout(PATIENCE, asking).await;
        assert!(is_ready.is_ok(), "a host is not ready; it said:\n{}", std::fs::read_to_string(&self.log).unwrap());
    }

    /// The number of the host's process.
    pub fn pid(&self) -> u32 {
        self.host.as_ref().expect("a host").id()
    }

    /// Whether its process is no more.
    pub fn has_ended(&mut self) -> bool {
        self.host.as_mut().expect("a host").try_wait().unwrap().is_some()
    }

    /// Ends the host without a word, and whatever it has started.
    pub fn kill(&mut self) {
        if let Some(mut host) = self.host.take()
            && host.try_wait().unwrap().is_none()
        {
            signal("KILL", &format!("-{}", host.id()));
            host.wait().unwrap();
        }
    }

    /// Ends the host as an operator does, and waits until it has ended.
    pub async fn stop(&mut self) {
        if let Some(mut host) = self.host.take() {
            signal("TERM", &host.id().to_string());
            let ended = tokio::task::spawn_blocking(move || host.wait().unwrap()).await.unwrap();
            assert!(ended.success(), "a host that was stopped ended with {ended}");
        }
    }

    /// Stops its time, and lets it go on.
    pub fn signal(&self, name: &str) {
        signal(name, &self.pid().to_string());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn command(program: &Path, args: &[&str], settings: &[(String, String)]) -> Command {
    let mut command = Command::new(program);
    command.args(args).envs(settings.iter().cloned()).stdin(Stdio::null());
    command
}

pub fn signal(name: &str, process: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), "--", process]).status().unwrap();
    assert!(sent.success(), "no signal {name} for {process}");
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
