//! The files of an embedded database.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cluster::command;
use crate::database::{Kind, Server};
use crate::judge::Verdict;
use crate::rig::{Plan, Rig};

/// A disk of its own.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path, megabytes: usize) -> Self {
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "faults"]).arg(folder).status();
        assert!(mount.unwrap().success(), "no disk could be mounted");
        Self(folder.to_owned())
    }

    /// Leaves no room.
    fn fill(&self) {
        let block = vec![0; 64 << 10];
        let mut file = std::fs::File::options().append(true).create(true).open(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Its disk is full for a while, and then it is not.
pub async fn disk_full(mut plan: Plan, times: usize) -> Verdict {
    let mut server = Server::start(Kind::Sqlite).await;
    // With room for what is written between: it is to be full of nothing else.
    let disk = Disk::mount(server.folder.path(), 24 + 24 * times);
    plan.rate = plan.rate.min(100);
    let mut rig = Rig::start(plan, &mut server).await;
    rig.work().await;
    for _ in 0..times {
        rig.pause(1_000, 1_500).await;
        disk.fill();
        rig.pause(2_000, 3_000).await;
        disk.free();
        rig.faults += 1;
    }
    rig.pause(1_000, 1_500).await;
    let verdict = rig.judge().await;
    drop(rig);
    verdict
}

/// Somebody moves the files elsewhere while the host is dead, and back.
pub async fn files_away(rig: &mut Rig, times: usize) {
    for _ in 0..times {
        rig.pause(500, 1_000).await;
        rig.kill(0).await;
        let database = PathBuf::from(rig.database.url.trim_start_matches("sqlite:"));
        let folder = database.parent().unwrap();
        let away = folder.with_extension("away");
        copy(folder, &away);
        std::fs::remove_dir_all(folder).unwrap();
        copy(&away, folder);
        std::fs::remove_dir_all(&away).unwrap();
        let program = rig.plan.program.clone();
        rig.places[0].start(&program).await;
    }
    rig.pause(500, 1_000).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// What a killed `ecomm backup` leaves is no backup, or the whole of one; the one that ends is whole. The shop does not notice.
pub async fn killed_while_it_backs_up(rig: &mut Rig, times: usize) {
    for n in 0..times {
        let file = rig.folder.path().join(format!("backup{n}"));
        let events = rig.events();
        let mut backup = command(&rig.plan.program, &["backup", &file.display().to_string()], &rig.settings);
        let mut backup = backup.stdout(std::process::Stdio::null()).spawn().unwrap();
        rig.pause(5, 200).await;
        let _ = backup.kill();
        let ended = backup.wait().unwrap();
        assert!(file.exists() || !ended.success(), "there is no backup, and it said nothing");
        // It may have been killed after it was done.
        if file.exists() {
            is_whole(rig, &file, events).await;
        }
        rig.faults += 1;
    }
    let file = rig.folder.path().join("backup");
    let events = rig.events();
    let done = command(&rig.plan.program, &["backup", &file.display().to_string()], &rig.settings).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    is_whole(rig, &file, events).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Has what clients were told of before it was begun.
async fn is_whole(rig: &mut Rig, backup: &Path, events: usize) {
    let direct = std::mem::replace(&mut rig.database.direct, format!("sqlite:{}", backup.display()));
    let damages =
        rig.database.number("select count(*) from pragma_integrity_check where integrity_check <> 'ok'").await;
    let kept = rig.database.number("select count(*) from notification_states").await;
    rig.database.direct = direct;
    assert_eq!(damages, 0, "{}", backup.display());
    assert!(usize::try_from(kept).unwrap() >= events, "{kept} of {events} events are in {}", backup.display());
}
