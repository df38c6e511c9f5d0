//! Golden answers: what a component said to a project's events, once somebody has looked at it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use similar::TextDiff;

use super::{Error, read, write};
use crate::plugin::{Email, Output};

/// A golden file that does not hold what the component says now.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// Its name in the folder `golden`.
    pub file: String,
    /// A unified diff, from golden to now; all of it added or removed when one is not there.
    pub diff: String,
}

/// Files by their names.
pub(super) type Files = BTreeMap<String, String>;

/// An answer as files that people can read.
pub(super) fn files(name: &str, answers: &[(String, Output)]) -> Files {
    let mut files = Files::new();
    let mut decisions = Vec::new();
    for (question, output) in answers {
        if let Output::Email(email) = output {
            files.insert(format!("{name}.txt"), text(email));
            files.extend(email.html.clone().map(|html| (format!("{name}.html"), html)));
        } else {
            decisions.push(serde_json::json!({ "question": question, "answer": output }));
        }
    }
    if !decisions.is_empty() {
        let all = serde_json::to_string_pretty(&decisions).unwrap_or_default();
        files.insert(format!("{name}.json"), all + "\n");
    }
    files
}

/// A mail without its HTML.
pub(super) fn text(email: &Email) -> String {
    let mut lines = vec![format!("Subject: {}", email.subject)];
    lines.extend(email.from_name.iter().map(|name| format!("From-Name: {name}")));
    lines.extend(email.reply_to.iter().map(|address| format!("Reply-To: {address}")));
    lines.extend(email.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.extend(email.attachments.iter().map(|file| format!("Attachment: {} ({})", file.name, file.summary())));
    format!("{}\n\n{}", lines.join("\n"), email.text)
}

/// What the folder holds; none when nothing was ever accepted.
pub(super) fn load(folder: &Path) -> Result<Option<Files>, Error> {
    let failed = |source| Error::File { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut files = Files::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), read(&path)?);
        }
    }
    Ok(Some(files))
}

/// What differs.
pub(super) fn compare(golden: &Files, now: &Files) -> Vec<Change> {
    let names: std::collections::BTreeSet<_> = golden.keys().chain(now.keys()).collect();
    let changed = names.into_iter().filter(|name| golden.get(*name) != now.get(*name));
    let diff = |name: &String| {
        let [before, after] = [golden, now].map(|files| files.get(name).map_or("", String::as_str));
        let diff = TextDiff::from_lines(before, after);
        let text = diff.unified_diff().context_radius(2).header(&format!("golden/{name}"), "now").to_string();
        Change { file: name.clone(), diff: text }
    };
    changed.map(diff).collect()
}

/// Keeps what the component says now.
pub(super) fn accept(folder: &Path, golden: &Files, now: &Files) -> Result<(), Error> {
    for name in golden.keys().filter(|name| !now.contains_key(*name)) {
        let path = folder.join(name);
        std::fs::remove_file(&path).map_err(|source| Error::File { path, source })?;
    }
    now.iter().try_for_each(|(name, text)| write(&folder.join(name), text))
}
