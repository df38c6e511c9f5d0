//! What a wrong setting gets: one clear line and an exit code that is not 0.

use std::process::{Command, Stdio};

use ecomm::config::{Config, DEFAULTS};

use crate::app::SECRET;
use crate::harness::tests;

tests! {
    on_one_thread {
        a_schema_from_elsewhere_is_refused
    }
    without_runtime {
        wrong_settings_are_named
        a_database_that_cannot_be_used_is_named
        a_taken_port_is_named
        the_manual_is_the_defaults
        a_secret_may_come_from_a_file
        making_an_admin_needs_a_database_and_a_secret_only
    }
}

/// Runs the host and gives back what it said on stderr; it must have failed.
fn fails(args: &[&str], settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    let folder = tempfile::tempdir().unwrap();
    command.args(args).env_clear().stdin(Stdio::null()).current_dir(folder.path());
    let output = command.envs(settings.iter().map(|(k, v)| (format!("ECOMM__{k}"), v))).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said
}

const FILE: (&str, &str) = ("DATABASE__URL", "sqlite:settings.db");
const SIGNED: (&str, &str) = ("AUTH__SECRET", SECRET);
const BOX: (&str, &str) = ("MAILBOX__ENABLED", "true");

fn wrong_settings_are_named() {
    let said = fails(&["serve"], &[FILE, BOX]);
    assert!(said.contains("auth.secret") && said.contains("openssl rand -hex 32"), "{said}");
    let said = fails(&["serve"], &[FILE, SIGNED, BOX, ("QUEUE__LEASE", "1")]);
    assert!(said.contains("queue") && said.contains("lease"), "{said}");
    let said = fails(&["serve"], &[FILE, SIGNED, BOX, ("QUEUE__LEASE_MS", "soon")]);
    assert!(said.contains("queue.lease_ms") && said.contains("soon"), "{said}");
    let said = fails(&["serve"], &[FILE, SIGNED, BOX, ("MAIL__FROM", "nobody")]);
    assert!(said.contains("mail.from") && said.contains("e-mail address"), "{said}");
    for address in ["https://shop.example/orders", "javascript:{number}"] {
        let said = fails(&["serve"], &[FILE, SIGNED, BOX, ("SHOP__ORDER_URL", address)]);
        assert!(said.contains("shop.order_url") && said.contains("with {number} where"), "{said}");
    }
    let said = fails(&["serve"], &[FILE, SIGNED]);
    assert!(said.contains("mail.relays"), "{said}");
    let said = fails(&["serve", "--config", "/nowhere.toml"], &[FILE, SIGNED]);
    assert!(said.contains("/nowhere.toml"), "{said}");
}

fn a_database_that_cannot_be_used_is_named() {
    for (url, word) in [
        ("oracle://x", "sqlite:, mysql:, mariadb: or postgres:"),
        ("postgres://nobody@127.0.0.1:1/x", "127.0.0.1:1 cannot be reached: Connection refused"),
        ("mysql://nobody@127.0.0.1:1/x", "127.0.0.1:1 cannot be reached: Connection refused"),
        ("sqlite:/nowhere/at/all.db", "database"),
        ("sqlite::memory:", "give a file"),
    ] {
        let settings = [SIGNED, BOX, ("DATABASE__URL", url), ("DATABASE__CONNECT_TIMEOUT_MS", "500")];
        let said = fails(&["serve"], &settings);
        assert!(said.contains(word), "{said}");
    }
}

fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = fails(&["serve"], &[FILE, SIGNED, BOX, ("MAILBOX__LISTEN", &address)]);
    assert!(said.contains("mailbox.listen") && said.contains(&address), "{said}");
    assert!(said.contains("another program listens there"), "{said}");
}

async fn a_schema_from_elsewhere_is_refused() {
    use sqlx::Connection;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("x.db").display());
    let migrate = [SIGNED, BOX, ("DATABASE__URL", url.as_str())];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    command.arg("migrate").env_clear().envs(migrate.iter().map(|(k, v)| (format!("ECOMM__{k}"), v)));
    assert!(command.status().unwrap().success());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("update _sqlx_migrations set checksum = x'00'").execute(&mut connection).await.unwrap();
    let said = fails(&["migrate"], &migrate);
    assert!(said.contains("migrations"), "{said}");
}

fn the_manual_is_the_defaults() {
    let secret = ("ECOMM__AUTH__SECRET".to_owned(), SECRET.to_owned());
    let config = Config::load(None, [secret]).unwrap();
    assert_eq!(config.queue.lease_ms, 60_000);
    // Secrets do not show.
    assert!(!format!("{config:?}").contains(SECRET));
    // Every key has a comment above it or stands in a block that has one.
    let uncommented = DEFAULTS.lines().filter(|l| l.contains(" = ") && !l.starts_with('#')).count();
    let comments = DEFAULTS.lines().filter(|l| l.starts_with('#')).count();
    assert!(comments * 2 > uncommented);
}

fn a_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let setting = ("ECOMM__AUTH__SECRET_FILE".to_owned(), path.display().to_string());
    assert!(Config::load(None, [setting]).is_ok());
}

fn making_an_admin_needs_a_database_and_a_secret_only() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("x.db").display());
    let create = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
        command.args(["admin", "create", "--email", "admin@shop.example"]).env_clear().current_dir(folder.path());
        command.env("ECOMM__DATABASE__URL", &url).env("ECOMM__AUTH__SECRET", SECRET);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"a long password\n").unwrap();
        child.wait_with_output().unwrap()
    };
    assert_eq!(String::from_utf8(create().stdout).unwrap(), "admin 1 created\n");
    let again = create();
    assert!(!again.status.success());
    assert!(String::from_utf8(again.stderr).unwrap().contains("the e-mail address is taken"));
}
