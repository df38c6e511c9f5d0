//! Backups of an embedded database, and what becomes of mails when one is restored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::app::{eventually, sqlite};
use crate::crash::Rig;
use crate::harness::tests;

tests! {
    once {
        restored_under_load_nothing_is_lost_and_nothing_sent_again_unmarked
        what_cannot_be_backed_up_says_why_and_leaves_nothing
        what_cannot_be_restored_says_why_and_changes_nothing
        a_database_that_its_own_tool_restored_is_put_in_doubt
        what_is_left_of_a_database_does_not_get_into_the_next
    }
}

/// The program with these arguments: its code, and what it says.
fn ecomm(settings: &[(String, String)], args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    command.args(args).env_clear().envs(settings.iter().cloned()).env("ECOMM__LOG__FILTER", "off");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said)
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The file of a rig's database.
fn database(settings: &[(String, String)]) -> PathBuf {
    let url = &settings.iter().find(|(key, _)| key == "ECOMM__DATABASE__URL").unwrap().1;
    ecomm::store::Store::sqlite_path(url).unwrap()
}

/// Orders go on while a backup is taken, and after; then the host dies with its disk, and the backup takes its place.
async fn restored_under_load_nothing_is_lost_and_nothing_sent_again_unmarked() {
    let mut rig = Rig::start(sqlite().await).await;
    rig.restart_with_short_pauses().await;
    let first = rig.order().await;
    let product =
        rig.client.ok("GET", &format!("/v1/orders/{first}"), &rig.admin, None).await["lines"][0]["product_id"].clone();
    let stock = json!({ "stock": 1_000 });
    rig.client.ok("PATCH", &format!("/v1/products/{product}"), &rig.admin, Some(stock)).await;
    let place = async || {
        let new = json!({ "items": [{ "product_id": product, "quantity": 1 }] });
        rig.client.ok("POST", "/v1/orders", &rig.admin, Some(new)).await["id"].as_i64().unwrap()
    };
    let mut before = vec![first];
    for _ in 0..20 {
        before.push(place().await);
    }
    let file = rig.database.folder.path().join("shop.backup");
    let backup = {
        let (settings, file) = (rig.settings.clone(), file.display().to_string());
        tokio::task::spawn_blocking(move || ecomm(&settings, &["backup", &file]))
    };
    let mut later = Vec::new();
    while !backup.is_finished() || later.len() < 20 {
        later.push(place().await);
    }
    let (code, says) = backup.await.unwrap();
    assert_eq!(code, 0, "{says}");
    eventually("mails", async || rig.mailbox.messages().len() > before.len() + 10).await;
    rig.kill();
    let path = database(&rig.settings);
    let (code, says) = ecomm(&rig.settings, &["restore", &file.display().to_string()]);
    assert_eq!(code, 0, "{says}");
    assert!(says.contains("queued notifications may have been delivered since"), "{says}");
    rig.restart().await;
    eventually("the queue is empty", async || {
        rig.database.number("select count(*) from notification_events_queue").await == 0
    })
    .await;
    for order in &before {
        let (status, _) = rig.client.call("GET", &format!("/v1/orders/{order}"), &rig.admin, None).await;
        assert_eq!(status.as_u16(), 200, "order {order} was committed before the backup");
    }
    // What was sent twice has the same Message-ID, and is on record as in doubt.
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for mail in rig.mailbox.messages() {
        *sent.entry(mail.message_id).or_default() += 1;
    }
    let all = rig.client.ok("GET", "/v1/notifications?limit=100", &rig.admin, None).await;
    let all = all["items"].as_array().unwrap().clone();
    let is_in_doubt = |n: &&Value| n["journal"].as_array().unwrap().iter().any(|e| e["class"] == "in-doubt");
    for notification in &all {
        let times = sent[notification["message_id"].as_str().unwrap()];
        assert!(times == 1 || is_in_doubt(&notification), "sent {times} times: {notification}");
        assert_eq!(notification["state"], "sent");
    }
    // The one that was there before is kept.
    let names = files(path.parent().unwrap());
    assert_eq!(names.iter().filter(|name| name.contains(".before-")).count(), 1, "{names:?}");
    assert!(!names.iter().any(|name| [".restoring", ".part"].iter().any(|part| name.contains(part))), "{names:?}");
}

async fn what_cannot_be_backed_up_says_why_and_leaves_nothing() {
    let rig = Rig::start(sqlite().await).await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("a.backup").display().to_string();
    let with = |key: &str, value: &str| {
        let mut settings = rig.settings.clone();
        settings.push((key.to_owned(), value.to_owned()));
        settings
    };
    std::fs::write(&to, "mine").unwrap();
    let (code, says) = ecomm(&rig.settings, &["backup", &to]);
    assert!(code != 0 && says.contains("is there already; name another file"), "{says}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "mine");
    std::fs::remove_file(&to).unwrap();
    for (url, why) in [
        ("postgres://127.0.0.1/shop", "back this one up with pg_dump"),
        ("mysql://127.0.0.1/shop", "back this one up with mariadb-dump --single-transaction"),
        ("sqlite:/nowhere/shop.db", "/nowhere/shop.db is not there"),
    ] {
        let (code, says) = ecomm(&with("ECOMM__DATABASE__URL", url), &["backup", &to]);
        assert!(code != 0 && says.contains(why), "{says}");
    }
    let (code, says) = ecomm(&rig.settings, &["backup", "/nowhere/at/all"]);
    assert!(code != 0 && says.contains("/nowhere/at/all.part"), "{says}");
    // A disk that takes no more: files may have 64 KiB here.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" backup \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_ecomm"), &to]).env_clear().envs(rig.settings.iter().cloned());
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(files(folder.path()), [] as [&str; 0]);
    // And one that has room.
    let (code, says) = ecomm(&rig.settings, &["backup", &to]);
    assert!(code == 0 && says.contains("notifications queued"), "{says}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&to).unwrap().permissions());
    assert_eq!((mode & 0o777, files(folder.path())), (0o600, vec!["a.backup".to_owned()]));
}

async fn what_cannot_be_restored_says_why_and_changes_nothing() {
    let mut rig = Rig::start(sqlite().await).await;
    let order = rig.order().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let good = file("good");
    assert_eq!(ecomm(&rig.settings, &["backup", &good]).0, 0);
    let (code, says) = ecomm(&rig.settings, &["restore", &good]);
    assert!(code != 0 && says.contains("is in use; stop the hosts first"), "{says}");
    rig.client.ok("GET", &format!("/v1/orders/{order}"), &rig.admin, None).await;
    rig.kill();
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(file("cut"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(file("page"), &bytes[..bytes.len() - 4_096]).unwrap();
    std::fs::write(file("junk"), "no database").unwrap();
    std::fs::write(file("empty"), "").unwrap();
    let newer = file("newer");
    std::fs::copy(&good, &newer).unwrap();
    let newer_url = format!("sqlite:{newer}");
    let sql = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'x', 1, x'00', 0)";
    {
        use sqlx::{Connection as _, Executor as _};
        let mut connection = sqlx::SqliteConnection::connect(&newer_url).await.unwrap();
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }
    let path = database(&rig.settings);
    let before = files(path.parent().unwrap());
    for (name, why) in [
        ("cut", "is no whole database"),
        ("page", "is no whole database"),
        ("junk", "is no whole database"),
        ("empty", "is no whole database"),
        ("newer", "has schema 9999, and this program knows"),
        ("missing", "No such file"),
    ] {
        let (code, says) = ecomm(&rig.settings, &["restore", &file(name)]);
        assert!(code != 0 && says.contains(why), "{name}: {says}");
    }
    let after: Vec<String> = files(path.parent().unwrap());
    assert_eq!(after, before);
    rig.restart().await;
    rig.client.ok("GET", &format!("/v1/orders/{order}"), &rig.admin, None).await;
}

async fn a_database_that_its_own_tool_restored_is_put_in_doubt() {
    let mut rig = Rig::start(sqlite().await).await;
    let paused = rig.client.call("POST", "/v1/queue/pause", &rig.admin, Some(json!({ "why": "a test" }))).await;
    assert!(paused.0.is_success(), "{paused:?}");
    let order = rig.order().await;
    rig.kill();
    let (code, says) = ecomm(&rig.settings, &["restore", "--in-doubt"]);
    assert!(code == 0 && says.starts_with("1 queued notifications may have been delivered"), "{says}");
    // Said twice, it is as it was.
    assert!(ecomm(&rig.settings, &["restore", "--in-doubt"]).1.starts_with("0 queued"));
    rig.restart().await;
    let path = format!("/v1/orders/{order}/notifications");
    let open = rig.client.ok("GET", &path, &rig.admin, None).await[0]["journal"].clone();
    assert_eq!(
        (open.as_array().unwrap().len(), &open[0]["kind"], &open[0]["class"]),
        (1, &json!("send"), &Value::Null)
    );
}

/// Killed, a host leaves a log beside its file; moved away or broken, the file takes the log with it.
async fn what_is_left_of_a_database_does_not_get_into_the_next() {
    let mut rig = Rig::start(sqlite().await).await;
    let order = rig.order().await;
    let file = rig.database.folder.path().join("shop.backup").display().to_string();
    assert_eq!(ecomm(&rig.settings, &["backup", &file]).0, 0);
    let path = database(&rig.settings);
    let log = PathBuf::from(format!("{}-wal", path.display()));
    let places: [&dyn Fn(); 3] =
        [&|| std::fs::remove_file(&path).unwrap(), &|| std::fs::write(&path, "no database any more").unwrap(), &|| {
            // A link to the volume that it is on.
            let there = path.with_extension("volume");
            std::fs::rename(&path, &there).unwrap();
            std::os::unix::fs::symlink(&there, &path).unwrap();
        }];
    for place in places {
        let change = json!({ "name": "Renamed" });
        rig.client.ok("PATCH", "/v1/products/1", &rig.admin, Some(change)).await;
        rig.kill();
        assert!(log.metadata().unwrap().len() > 0, "the host leaves a log");
        place();
        let is_link = path.is_symlink();
        let (code, says) = ecomm(&rig.settings, &["restore", &file]);
        assert!(code == 0 && says.contains(" is restored from "), "{says}");
        assert_eq!(path.is_symlink(), is_link);
        rig.restart().await;
        rig.client.ok("GET", &format!("/v1/orders/{order}"), &rig.admin, None).await;
        let product = rig.client.ok("GET", "/v1/products/1", &rig.admin, None).await;
        assert_eq!(product["name"], "Cup", "as the backup has it");
    }
    // What was given a number after the backup keeps it for itself.
    let next = rig
        .client
        .ok(
            "POST",
            "/v1/products",
            &rig.admin,
            Some(json!({ "sku": "NEW", "name": "New", "price": { "amount": 1, "currency": "EUR" }, "stock": 1 })),
        )
        .await;
    assert!(next["id"].as_i64().unwrap() > 100_000, "{next}");
}
