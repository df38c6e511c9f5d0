//! What a component says of itself, and whether a config fits its schema.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fault::LoadError;

/// The longest name and version, in characters.
const NAME_CHARS_MAX: usize = 64;
/// The longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 500;
/// The most locales.
const LOCALES_MAX: usize = 100;
/// The largest schema.
const SCHEMA_BYTES_MAX: usize = 64 << 10;
/// The most attributes.
const ATTRIBUTES_MAX: usize = 50;
/// The most memory that a schema's pattern may take when it is compiled.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A component's `manifest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Which languages a renderer has texts in; none when it does not say.
    pub locales: Vec<String>,
    /// The JSON Schema of its config, as a text; empty for none.
    pub config_schema: String,
    /// More that it says.
    pub attributes: BTreeMap<String, String>,
}

/// What a component finds wrong with its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: a JSON Pointer (RFC 6901); empty for the whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.pointer, self.message)
        }
    }
}

impl Manifest {
    /// Refuses what cannot be shown or is no schema.
    pub(super) fn check(self) -> Result<Self, LoadError> {
        let refuse = |why: String| Err(LoadError::Manifest(why));
        let is_line = |text: &str, chars_max| {
            (1..=chars_max).contains(&text.chars().count())
                && !text.trim().is_empty()
                && !text.contains(char::is_control)
        };
        for (what, text) in [("name", &self.name), ("version", &self.version)] {
            if !is_line(text, NAME_CHARS_MAX) {
                return refuse(format!("its {what} must be one line of 1 to {NAME_CHARS_MAX} characters"));
            }
        }
        if !self.description.is_empty() && !is_line(&self.description, DESCRIPTION_CHARS_MAX) {
            return refuse(format!("its description must be one line of at most {DESCRIPTION_CHARS_MAX} characters"));
        }
        if self.locales.len() > LOCALES_MAX || self.locales.iter().any(|tag| !is_line(tag, NAME_CHARS_MAX)) {
            return refuse(format!("its locales must be at most {LOCALES_MAX} language tags"));
        }
        let is_pair = |(key, value): (&String, &String)| is_line(key, NAME_CHARS_MAX) && value.chars().count() <= 500;
        if self.attributes.len() > ATTRIBUTES_MAX || !self.attributes.iter().all(is_pair) {
            return refuse(format!(
                "it may have {ATTRIBUTES_MAX} attributes, names of 64 and values of 500 characters"
            ));
        }
        if self.config_schema.len() > SCHEMA_BYTES_MAX {
            return refuse(format!("its config-schema has more than {SCHEMA_BYTES_MAX} bytes"));
        }
        self.schema()?;
        Ok(self)
    }

    /// Refuses a config that is no JSON object or does not fit the schema; names the first place that does not.
    pub(super) fn check_config(&self, config: &str) -> Result<(), LoadError> {
        let refuse = |pointer: String, message: String| Err(LoadError::Config(ConfigError { pointer, message }));
        let config: serde_json::Value = match serde_json::from_str(config) {
            Ok(config) => config,
            Err(e) => return refuse(String::new(), format!("is not JSON: {e}")),
        };
        if !config.is_object() {
            return refuse(String::new(), "must be a JSON object".to_owned());
        }
        let Some(schema) = self.schema()? else { return Ok(()) };
        match schema.validate(&config) {
            Ok(()) => Ok(()),
            Err(e) => refuse(e.instance_path().to_string(), e.to_string()),
        }
    }

    /// None when it declares none.
    fn schema(&self) -> Result<Option<jsonschema::Validator>, LoadError> {
        if self.config_schema.is_empty() {
            return Ok(None);
        }
        let refuse = |why: String| LoadError::Manifest(format!("its config-schema {why}"));
        let schema = serde_json::from_str(&self.config_schema).map_err(|e| refuse(format!("is not JSON: {e}")))?;
        // The linear engine: a pattern of a stranger's must not take for ever.
        let patterns = jsonschema::PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
        let options = jsonschema::options().with_pattern_options(patterns).with_retriever(Nowhere);
        let schema = options.build(&schema);
        schema.map(Some).map_err(|e| refuse(format!("is no JSON Schema: {e}")))
    }
}

/// Where other schemas are found: a component describes itself.
struct Nowhere;

impl jsonschema::Retrieve for Nowhere {
    fn retrieve(
        &self,
        _: &jsonschema::Uri<String>,
    ) -> Result<serde_json::Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("a config-schema may only refer to itself".into())
    }
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    fn manifest(schema: &str) -> Manifest {
        let text = |s: &str| s.to_owned();
        Manifest { name: text("n"), version: text("1"), config_schema: text(schema), ..Manifest::default() }
    }

    #[test]
    fn a_config_is_held_to_its_schema() {
        let schema = r#"{"type": "object", "additionalProperties": false, "properties": {
            "hours": {"type": "object", "properties": {"from": {"type": "integer", "maximum": 23}}}}}"#;
        let m = manifest(schema).check().expect("good");
        let refused = |config: &str| m.check_config(config).expect_err("refused").to_string();
        assert!(m.check_config(r#"{"hours": {"from": 22}}"#).is_ok());
        insta::assert_snapshot!(refused(r#"{"hours": {"from": 24}}"#), @"refused its config: /hours/from: 24 is greater than the maximum of 23");
        insta::assert_snapshot!(refused(r#"{"hour": {}}"#), @"refused its config: Additional properties are not allowed ('hour' was unexpected)");
        insta::assert_snapshot!(refused("[]"), @"refused its config: must be a JSON object");
        insta::assert_snapshot!(refused("{"), @"refused its config: is not JSON: EOF while parsing an object at line 1 column 1");
        assert!(manifest("").check_config(r#"{"anything": 1}"#).is_ok());
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let refused = |m: Manifest| m.check().expect_err("refused").to_string();
        insta::assert_snapshot!(refused(manifest("{")), @"describes itself so that it cannot be used: its config-schema is not JSON: EOF while parsing an object at line 1 column 1");
        insta::assert_snapshot!(refused(manifest(r#"{"type": "objekt"}"#)), @r#"describes itself so that it cannot be used: its config-schema is no JSON Schema: "objekt" is not valid under any of the schemas listed in the 'anyOf' keyword"#);
        insta::assert_snapshot!(refused(manifest(r#"{"$ref": "https://example.com/schema.json"}"#)), @"describes itself so that it cannot be used: its config-schema is no JSON Schema: Resource 'https://example.com/schema.json' is not present in a registry and retrieving it failed: a config-schema may only refer to itself");
        insta::assert_snapshot!(refused(manifest(&format!("\"{}\"", "x".repeat(70_000)))), @"describes itself so that it cannot be used: its config-schema has more than 65536 bytes");
        insta::assert_snapshot!(refused(Manifest { name: "a\nb".to_owned(), ..manifest("") }), @"describes itself so that it cannot be used: its name must be one line of 1 to 64 characters");
        insta::assert_snapshot!(refused(Manifest { version: String::new(), ..manifest("") }), @"describes itself so that it cannot be used: its version must be one line of 1 to 64 characters");
        insta::assert_snapshot!(refused(Manifest { description: "x".repeat(501), ..manifest("") }), @"describes itself so that it cannot be used: its description must be one line of at most 500 characters");
        insta::assert_snapshot!(refused(Manifest { locales: vec!["en".to_owned(); 101], ..manifest("") }), @"describes itself so that it cannot be used: its locales must be at most 100 language tags");
    }
}
