//! A database server of the rig's own, which it may kill; and what is read in a database when all is over.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection, SqliteConnection};

use crate::cluster::{free_port, signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Mariadb => "MariaDB",
        }
    }

    /// Whom its server runs as where the rig is root, as which it does not run.
    fn user(self) -> &'static str {
        if self == Self::Postgres { "postgres" } else { "mysql" }
    }
}

/// Databases, and the server that has them; of an embedded one a folder.
pub struct Server {
    pub kind: Kind,
    pub folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
    databases: u32,
}

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

impl Server {
    /// An empty one.
    pub async fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { kind, folder, port: free_port(), process: None, databases: 0 };
        let (data, user) = (server.data(), kind.user());
        match kind {
            Kind::Sqlite => return server,
            Kind::Postgres => {
                own(server.folder.path(), user);
                let data = format!("--pgdata={}", data.display());
                run(user, &bin("initdb"), &[&data, "--username=postgres", "--auth=trust", "--encoding=UTF8"]);
            }
            Kind::Mariadb => {
                own(server.folder.path(), user);
                let data = format!("--datadir={}", data.display());
                let install = Path::new("mariadb-install-db");
                run(user, install, &["--no-defaults", &data, "--auth-root-authentication-method=normal"]);
            }
        }
        server.restart().await;
        if kind == Kind::Mariadb {
            // Not an administrator, for whom nothing is ever read-only.
            server.execute("create user ecomm@'127.0.0.1'").await;
            server.execute("grant all on `faults%`.* to ecomm@'127.0.0.1'").await;
        }
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where it listens; of an embedded one nothing does.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it where it was, and waits until it answers.
    pub async fn restart(&mut self) {
        let (data, folder, port) = (self.data(), self.folder.path(), self.port);
        let mut command = match self.kind {
            Kind::Sqlite => return,
            Kind::Postgres => {
                let mut command = Command::new(bin("postgres"));
                command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
                command.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
                command.args(["-c", "max_connections=300"]);
                command
            }
            Kind::Mariadb => {
                let mut command = Command::new("mariadbd");
                command.args(["--no-defaults", "--bind-address=127.0.0.1", "--max-connections=300"]);
                command.arg(format!("--datadir={}", data.display())).arg(format!("--port={port}"));
                command.arg(format!("--socket={}", folder.join("socket").display()));
                command
            }
        };
        let log = std::fs::File::options().append(true).create(true).open(folder.join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).process_group(0);
        self.process = Some(as_user(&mut command, self.kind.user()).spawn().unwrap());
        let answers = async {
            while self.try_execute("select 1").await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answers).await.expect("the server does not answer; see its log");
    }

    /// Kills all of its processes at once.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("KILL", &format!("-{}", process.id()));
            process.wait().unwrap();
        }
    }

    /// Another server that follows this one (`PostgreSQL`'s streaming replication), and can take its place.
    pub async fn standby(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        own(folder.path(), self.kind.user());
        let mut standby = Self { kind: self.kind, folder, port: free_port(), process: None, databases: self.databases };
        let from = format!("--dbname=host=127.0.0.1 port={} user=postgres application_name=standby", self.port);
        let data = format!("--pgdata={}", standby.data().display());
        run(self.kind.user(), &bin("pg_basebackup"), &[&data, &from, "--write-recovery-conf", "--checkpoint=fast"]);
        standby.restart().await;
        standby
    }

    /// Makes a standby the server.
    pub async fn promote(&self) {
        self.execute("select pg_promote()").await;
    }

    /// A new, empty database, by way of `port` where that is not the server's own.
    pub async fn fresh(&mut self, port: Option<u16>) -> Database {
        self.databases += 1;
        let name = format!("faults{}", self.databases);
        let port = port.unwrap_or(self.port);
        let (own, url) = match self.kind {
            Kind::Sqlite => {
                let folder = self.folder.path().join(&name);
                std::fs::create_dir(&folder).unwrap();
                let url = format!("sqlite:{}", folder.join("shop.db").display());
                return Database { kind: self.kind, direct: url.clone(), url };
            }
            Kind::Postgres => ("postgres://postgres", "postgres://postgres"),
            Kind::Mariadb => ("mysql://root", "mysql://ecomm"),
        };
        self.execute(&format!("create database {name}")).await;
        let at = |user: &str, port: u16| {
            let options = if self.kind == Kind::Postgres { "sslmode=disable" } else { "ssl-mode=DISABLED" };
            format!("{user}@127.0.0.1:{port}/{name}?{options}")
        };
        Database { kind: self.kind, direct: at(own, self.port), url: at(url, port) }
    }

    /// Does something as an administrator.
    pub async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.unwrap();
    }

    async fn try_execute(&self, sql: &str) -> sqlx::Result<()> {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.kind == Kind::Postgres {
            let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port);
            sqlx::query(sql).execute(&mut PgConnection::connect(&url).await?).await.map(drop)
        } else {
            let url = format!("mysql://root@127.0.0.1:{}/mysql?ssl-mode=DISABLED", self.port);
            sqlx::query(sql).execute(&mut MySqlConnection::connect(&url).await?).await.map(drop)
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One of the server's.
#[derive(Clone)]
pub struct Database {
    pub kind: Kind,
    /// For hosts.
    pub url: String,
    /// Past what stands between.
    pub direct: String,
}

/// Asks, and lets go of the database: one that is embedded is not to be touched any more after that.
macro_rules! ask {
    ($database:expr, $sql:expr, $how:ident) => {{
        let sql = AssertSqlSafe($sql.to_owned());
        match $database.kind {
            Kind::Sqlite => ask!(@ SqliteConnection, $database, sql, $how),
            Kind::Postgres => ask!(@ PgConnection, $database, sql, $how),
            Kind::Mariadb => ask!(@ MySqlConnection, $database, sql, $how),
        }
    }};
    (@ $Connection:ty, $database:expr, $sql:expr, $how:ident) => {{
        let mut connection = <$Connection>::connect(&$database.direct).await.unwrap();
        let answer = sqlx::query_as($sql).$how(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        answer
    }};
}

/// A notification of an order, and how its attempts ended.
pub struct Told {
    pub message_id: String,
    pub order: i64,
    pub version: i64,
    pub state: String,
    pub attempts: i64,
    /// How many of its attempts are in doubt.
    pub doubts: i64,
}

impl Database {
    /// The one number that a query answers.
    pub async fn number(&self, sql: &str) -> i64 {
        let (number,): (i64,) = ask!(self, sql, fetch_one);
        number
    }

    /// All notifications of orders.
    pub async fn told(&self) -> Vec<Told> {
        let sql = "select s.message_id, s.lane, s.place, s.state, s.attempts, (select count(*) from notification_attempts a \
                   where a.state_id = s.id and a.kind = 'send' and a.class = 'in-doubt') from notification_states s \
                   where s.kind like 'order.%' order by s.lane, s.place";
        let rows: Vec<(String, i64, i64, String, i64, i64)> = ask!(self, sql, fetch_all);
        let told = rows.into_iter().map(|(message_id, order, version, state, attempts, doubts)| Told {
            message_id,
            order,
            version,
            state,
            attempts,
            doubts,
        });
        told.collect()
    }

    /// The mails that the host with this process has claimed.
    pub async fn claimed_by(&self, pid: u32) -> Vec<String> {
        let sql = format!(
            "select s.message_id from notification_events_queue q join hosts h on h.holder = q.holder - q.epoch \
             join notification_states s on s.id = q.state_id where h.pid = {pid} and q.claims > 0"
        );
        let rows: Vec<(String,)> = ask!(self, sql, fetch_all);
        rows.into_iter().map(|(id,)| id).collect()
    }
}

/// Where Debian has the newest.
fn bin(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is not installed: postgresql");
    let newest = versions.map(|version| version.unwrap().path()).max().expect("PostgreSQL is not installed");
    newest.join("bin").join(program)
}

/// The number of a user of this machine, and of its group; none where the rig is not root.
fn account(user: &str) -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').next() == Some(user));
    let fields: Vec<_> = line.unwrap_or_else(|| panic!("there is no user {user}")).split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

fn as_user<'a>(command: &'a mut Command, user: &str) -> &'a mut Command {
    match account(user) {
        Some((uid, gid)) => command.uid(uid).gid(gid),
        None => command,
    }
}

fn own(folder: &Path, user: &str) {
    if let Some((uid, gid)) = account(user) {
        std::os::unix::fs::chown(folder, Some(uid), Some(gid)).unwrap();
    }
}

fn run(user: &str, program: &Path, args: &[&str]) {
    let mut command = Command::new(program);
    let done = as_user(command.args(args), user).output().unwrap();
    assert!(done.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&done.stderr));
}
