//! Hosts that are killed, stopped, restarted and replaced, and whose clocks are wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::command;
use crate::database::Server;
use crate::judge::Verdict;
use crate::rig::{Plan, Rig};

/// Where a minute is too long to wait for.
pub const SHORT_LEASE_MS: &str = "10000";

/// Any host, at any moment; it is started again at once.
pub async fn killed(rig: &mut Rig, times: usize) {
    rig.pause(500, 1_000).await;
    for _ in 0..times {
        rig.pause(50, 700).await;
        let place = rig.any_place();
        rig.kill(place).await;
        let program = rig.plan.program.clone();
        rig.places[place].start(&program).await;
    }
    rig.pause(500, 1_000).await;
}

/// A host that does not run while its leases end, and others go on with what it had begun.
pub async fn stalled(rig: &mut Rig, times: usize) {
    const THREE_LEASES: Duration = Duration::from_secs(30);
    for _ in 0..times {
        rig.pause(500, 1_000).await;
        let place = rig.any_place();
        rig.stall(place, THREE_LEASES).await;
    }
    rig.pause(500, 1_000).await;
}

pub async fn restarted(rig: &mut Rig, times: usize) {
    let program = rig.plan.program.clone();
    for _ in 0..times {
        rig.pause(200, 500).await;
        let place = rig.any_place();
        replace(rig, place, &program).await;
    }
    rig.pause(200, 500).await;
}

/// From the last release to this one, host by host, one of them back and forth; and back again for the next time.
pub async fn upgraded(rig: &mut Rig, last: &Path, times: usize) {
    let ours = rig.plan.program.clone();
    rig.pause(500, 1_000).await;
    for _ in 0..times {
        let places = rig.places.len();
        for place in 0..places {
            replace(rig, place, &ours).await;
            if place == 0 {
                replace(rig, places - 1, last).await;
            }
        }
        // Of one that is alone: back where it was.
        if places == 1 {
            replace(rig, 0, &ours).await;
        }
        for place in 0..places {
            replace(rig, place, last).await;
        }
    }
    for place in 0..rig.places.len() {
        replace(rig, place, &ours).await;
    }
}

async fn replace(rig: &mut Rig, place: usize, program: &Path) {
    rig.places[place].stop().await;
    rig.places[place].start(program).await;
    rig.faults += 1;
    rig.pause(100, 300).await;
}

/// A library that tells programs another time, from Debian's `faketime`.
pub fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|folder| folder.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// Each host has another time, up to five minutes from the right one; then they leap.
pub async fn wrong_clocks(plan: Plan, server: &mut Server, leaps: usize) -> Verdict {
    const OFFSETS_S: [i32; 4] = [300, -300, 0, 61];
    let library = faketime().expect("looked for");
    let mut rig = Rig::start(plan, server).await;
    let file = |rig: &Rig, place: usize| rig.folder.path().join(format!("time{place}"));
    for (place, offset_s) in OFFSETS_S.into_iter().enumerate().take(rig.places.len()) {
        let file = file(&rig, place);
        tell_time(&file, offset_s);
        let settings = [
            ("LD_PRELOAD", library.as_path()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", Path::new("1")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", Path::new("1")),
        ];
        for (key, value) in settings {
            rig.places[place].set(key, &value.display().to_string());
        }
    }
    rig.work().await;
    for leap in 1..=leaps {
        rig.pause(1_000, 2_000).await;
        for place in 0..rig.places.len() {
            tell_time(&file(&rig, place), OFFSETS_S[(place + leap) % OFFSETS_S.len()]);
        }
        rig.faults += 1;
    }
    rig.pause(1_000, 2_000).await;
    rig.judge().await
}

fn tell_time(file: &Path, offset_s: i32) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{offset_s:+}\n")).unwrap();
    std::fs::rename(&new, file).unwrap();
}

/// `ecomm migrate` is killed again and again until it has had the time that it needs; then the shop opens.
pub async fn killed_while_they_migrate(plan: Plan, server: &mut Server, times: usize) -> Verdict {
    let mut rig = Rig::start(plan, server).await;
    for _ in 0..times {
        let mut migrate = command(&rig.plan.program, &["migrate"], &rig.settings);
        let mut migrate = migrate.stdout(std::process::Stdio::null()).spawn().unwrap();
        rig.pause(10, 300).await;
        let _ = migrate.kill();
        migrate.wait().unwrap();
        rig.faults += 1;
    }
    rig.work().await;
    rig.pause(1_000, 2_000).await;
    rig.judge().await
}
