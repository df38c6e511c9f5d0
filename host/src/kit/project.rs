//! A project of an author: a folder with a `plugin.toml`.
//!
//! ```text
//! plugin.toml     what it is: slot, language, what its tests may assume
//! config.json     what `configure` is given while trying it
//! events/         sample events, which an author may change and add to
//! golden/         what the component said to them, once accepted
//! wit/            the contract, from the host's program
//! build/          what is built; plugin.wasm is the component
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, Language, read, templates, write};
use crate::notification::{Notification, Payload};
use crate::plugin::Slot;

/// What tells a project from another folder.
pub const SETTINGS: &str = "plugin.toml";

/// A project's `plugin.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the component is to serve.
    pub slot: Slot,
    /// What it is written in.
    pub language: Language,
    /// Whether a policy also says what follows from reports (`wit/reports.wit`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reports: bool,
    /// What its tests may assume.
    #[serde(default)]
    pub test: Expectations,
}

/// What a component's tests may assume, beyond what holds for every component.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Hosts from which mails may load what they show, beside those that the event itself names.
    #[serde(default)]
    pub remote_hosts: Vec<String>,
    /// The policy waits no shorter after a later attempt than after an earlier one.
    #[serde(default)]
    pub retries_are_monotone: bool,
    /// The longest time that the policy lets pass before it is asked again, in milliseconds.
    #[serde(default)]
    pub delay_ms_max: Option<u64>,
}

/// A project's folder.
#[derive(Clone, Debug)]
pub struct Project {
    /// Where it is.
    pub folder: PathBuf,
    /// Its `plugin.toml`.
    pub settings: Settings,
}

/// A named event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its file's name without the ending.
    pub name: String,
    /// What a component is asked about.
    pub notification: Arc<Notification>,
}

/// The message's id in every try.
const MESSAGE_ID: &str = "00000000-0000-4000-8000-000000000000@shop.example";

impl Project {
    /// Reads the project in a folder.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(SETTINGS);
        if !path.is_file() {
            return Err(Error::NoProject(folder.to_owned()));
        }
        let settings = toml::from_str(&read(&path)?);
        let settings = settings.map_err(|e: toml::de::Error| Error::Content { path, why: e.to_string() })?;
        Ok(Self { folder: folder.to_owned(), settings })
    }

    /// The component's file.
    pub fn component(&self) -> PathBuf {
        self.folder.join("build").join("plugin.wasm")
    }

    /// The component's bytes.
    pub fn wasm(&self) -> Result<Arc<[u8]>, Error> {
        let path = self.component();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(bytes.into()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::NotBuilt(path, self.folder.clone())),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// What `configure` is given: `config.json`, or an empty object.
    pub fn config(&self) -> Result<String, Error> {
        let path = self.folder.join("config.json");
        if !path.exists() {
            return Ok("{}".to_owned());
        }
        // As hosts store it, whatever its spaces.
        let config = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&read(&path)?);
        let unfit = |e: serde_json::Error| Error::Content { path, why: format!("is no JSON object: {e}") };
        Ok(serde_json::Value::Object(config.map_err(unfit)?).to_string())
    }

    /// The world that the component is built against.
    pub fn world(&self) -> &'static str {
        match self.settings.slot {
            Slot::Renderer => "renderer-plugin",
            Slot::Policy if self.settings.reports => "reporting-policy-plugin",
            Slot::Policy => "policy-plugin",
        }
    }

    /// Its events, by name.
    pub fn events(&self) -> Result<Vec<Event>, Error> {
        let folder = self.folder.join("events");
        let failed = |source| Error::File { path: folder.clone(), source };
        let mut events = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                events.push(event(&path)?);
            }
        }
        events.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(events)
    }

    /// Refuses a copy of the contract that is not this host's; its comments may be those of another version.
    pub fn check_wit(&self) -> Result<(), Error> {
        let differs = |path: PathBuf| Err(Error::Wit { path, folder: self.folder.clone() });
        for (name, text) in templates::WIT {
            let path = self.folder.join(name);
            let copy = std::fs::read_to_string(&path);
            if !copy.is_ok_and(|copy| said(&copy).eq(said(text))) {
                return differs(path);
            }
        }
        let wit = self.folder.join("wit");
        let entries = std::fs::read_dir(&wit).map_err(|source| Error::File { path: wit.clone(), source })?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = format!("wit/{}", path.file_name().unwrap_or_default().display());
            if path.is_file() && templates::WIT.iter().all(|(known, _)| *known != name) {
                return differs(path);
            }
        }
        Ok(())
    }
}

/// The lines of a WIT file that say something to a machine.
fn said(wit: &str) -> impl Iterator<Item = &str> {
    wit.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"))
}

/// Writes the contract into a project.
pub fn write_wit(folder: &Path) -> Result<(), Error> {
    templates::WIT.iter().try_for_each(|(name, text)| write(&folder.join(name), text))
}

/// An event from a file: what `notification.payload` stores, and what the preview of a revision takes.
pub fn event(path: &Path) -> Result<Event, Error> {
    let unfit = |why: String| Error::Content { path: path.to_owned(), why: format!("is no event: {why}") };
    let payload = Payload::read(&read(path)?).map_err(|e| unfit(e.to_string()))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Event::new(name, payload))
}

impl Event {
    /// An event of this payload.
    pub fn new(name: String, payload: Payload) -> Self {
        let notification = Notification { id: 1, message_id: MESSAGE_ID.to_owned(), payload };
        Self { name, notification: Arc::new(notification) }
    }

    /// The same in another language.
    #[must_use]
    pub fn in_locale(&self, locale: crate::shop::text::Locale) -> Self {
        let mut event = self.clone();
        Arc::make_mut(&mut event.notification).payload.customer.locale = locale;
        event
    }
}

/// The event of this name: one of those given, one of the samples, or a file. "shipped" finds "order-shipped".
pub fn find(name: &str, own: &[Event]) -> Result<Event, Error> {
    let samples = crate::plugin::samples()
        .iter()
        .filter_map(|(name, payload)| Some(Event::new((*name).to_owned(), Payload::read(payload).ok()?)));
    let all: Vec<Event> = own.iter().cloned().chain(samples).collect();
    let is_meant = |event: &&Event| event.name == name || event.name == format!("order-{name}");
    if let Some(event) = all.iter().find(is_meant) {
        return Ok(event.clone());
    }
    let path = Path::new(name);
    if path.exists() {
        return event(path);
    }
    let known: std::collections::BTreeSet<_> = all.iter().map(|event| event.name.as_str()).collect();
    Err(Error::Event { name: name.to_owned(), known: known.into_iter().collect::<Vec<_>>().join(", ") })
}
