//! Whether there is room where this host writes.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::{Check, Finding};
use crate::config::Config;
use crate::store::Store;

/// Less is soon full.
const FREE_BYTES_WARNING: u64 = 1 << 30;
/// Less is as good as full.
const FREE_BYTES_FAULT: u64 = 64 << 20;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut places: Vec<(&str, PathBuf, bool)> = Vec::new();
    if let Some(path) = Store::sqlite_path(config.database.url.expose_secret()) {
        places.push(("database.url", path, true));
    }
    for (key, path) in [("plugins.cache_path", &config.plugins.cache_path), ("mailbox.path", &config.mailbox.path)] {
        if !path.as_os_str().is_empty() {
            places.push((key, path.clone(), false));
        }
    }
    places.into_iter().flat_map(|(key, path, is_vital)| place(key, &path, is_vital)).collect()
}

fn place(key: &str, path: &Path, is_vital: bool) -> Vec<Finding> {
    // What is not there yet will be made in the nearest folder that is.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(there) = path.ancestors().find(|ancestor| ancestor.exists()) else { return Vec::new() };
    let mut findings = Vec::new();
    if rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_err() {
        let says = format!("{} cannot be written to", there.display());
        let advice = "give it to the user that runs the host";
        findings.push(if is_vital {
            Finding::fault(Check::Disk, key, says, advice)
        } else {
            Finding::warning(Check::Disk, key, says, advice)
        });
    }
    let free = match rustix::fs::statvfs(there) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(e) => {
            let says = format!("{}: {e}", there.display());
            findings.push(Finding::warning(Check::Disk, key, says, "see that this user may look at it"));
            return findings;
        }
    };
    let says = format!("{} MiB are free at {}", free >> 20, there.display());
    let advice = if is_vital { "make room, or shorten [retention]" } else { "make room" };
    findings.push(match free {
        free if free < FREE_BYTES_FAULT && is_vital => Finding::fault(Check::Disk, key, says, advice),
        free if free < FREE_BYTES_WARNING => Finding::warning(Check::Disk, key, says, advice),
        _ => Finding::ok(Check::Disk, key, says),
    });
    findings
}
