//! JSON merge patch (RFC 7396): what is named is changed, null clears, everything else stays.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Error;

/// A change, as a JSON object.
pub type Patch = Map<String, Value>;

/// The value with the patch applied. A patched value is checked like a new one: the error points at what is wrong.
pub(crate) fn merged<T: Serialize + DeserializeOwned>(current: &T, patch: &Patch) -> Result<T, Error> {
    let mut value = serde_json::to_value(current).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        merge(fields, patch);
    }
    from_value(value)
}

fn merge(into: &mut Map<String, Value>, patch: &Patch) {
    for (key, change) in patch {
        match (into.get_mut(key), change) {
            (_, Value::Null) => {
                into.remove(key);
            }
            (Some(Value::Object(into)), Value::Object(patch)) => merge(into, patch),
            (_, change) => {
                into.insert(key.clone(), without_nulls(change));
            }
        }
    }
}

/// A patch for something that is not there yet clears nothing.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k.clone(), without_nulls(v))).collect())
        }
        other => other.clone(),
    }
}

/// Reads a value; what breaks a rule is pointed at.
pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let pointer = pointer(e.path());
        Error::Invalid { pointer, detail: e.inner().to_string() }
    })
}

/// A JSON pointer (RFC 6901 3).
pub(crate) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{Patch, merge};

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).expect("an object")
    }

    /// The examples of RFC 7396, appendix A, that are objects.
    #[test]
    fn as_the_rfc_says() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (target, patch, result) in cases {
            let (mut target, patch): (_, Patch) = (object(target), object(patch));
            merge(&mut target, &patch);
            assert_eq!(Value::Object(target), result);
        }
    }
}
