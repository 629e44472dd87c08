use super::{PeerDocument, PoolDocument, VipDocument};
use crate::model::Kind;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

/// The JSON Schema (draft 2020-12) of the files that hold a `kind`, as text, ending in a newline. An editor that
/// follows `$schema` completes and explains fields with it; `validate` checks more than a schema can say.
pub fn document(kind: Kind) -> String {
    let mut schema = match kind {
        Kind::Vip => generate::<VipDocument>(),
        Kind::Pool => generate::<PoolDocument>(),
        Kind::Peer => generate::<PeerDocument>(),
    };
    without_null(&mut schema);
    if let Value::Object(root) = &mut schema {
        root.insert("$id".into(), json!(format!("urn:lbagent:v1:{}", kind.as_str())));
        root.insert("title".into(), json!(kind.as_str()));
        root.insert("description".into(), json!(description(kind)));
    }
    format!("{schema:#}\n")
}

/// Where the shipped state directory keeps the schema of `kind`: in a directory that the loader passes over, beside
/// the files that point there.
pub fn file_name(kind: Kind) -> String {
    format!(".schema/{}.json", kind.as_str())
}

fn description(kind: Kind) -> &'static str {
    match kind {
        Kind::Vip => "A virtual IP: addresses that are on exactly one node at a time, and what is served on them.",
        Kind::Pool => "A set of backends that serve the same thing.",
        Kind::Peer => "A node: a machine that runs lbagent.",
    }
}

fn generate<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// An optional field may be left out, but `null` is no value for it; the derive cannot know.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            unwrap_any_of(object);
            object.values_mut().for_each(without_null);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// `anyOf: [X, null]` is X.
fn unwrap_any_of(object: &mut serde_json::Map<String, Value>) {
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice["type"] != "null");
    if let [only] = choices.as_slice()
        && let Value::Object(only) = only.clone()
    {
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(kind: Kind) -> Value {
        serde_json::from_str(&document(kind)).unwrap()
    }

    fn visit(value: &Value, f: &mut impl FnMut(&Value)) {
        f(value);
        match value {
            Value::Object(object) => object.values().for_each(|value| visit(value, f)),
            Value::Array(elements) => elements.iter().for_each(|value| visit(value, f)),
            _ => {}
        }
    }

    #[test]
    fn every_object_is_closed_and_every_field_explained() {
        for kind in Kind::ALL {
            visit(&schema(kind), &mut |value| {
                let Some(properties) = value.get("properties").and_then(Value::as_object) else { return };
                assert_eq!(value["additionalProperties"], false, "{value:#}");
                for (name, field) in properties {
                    assert!(field.get("description").is_some(), "{kind:?}: {name} has no description");
                }
            });
        }
    }

    #[test]
    fn null_is_never_offered() {
        for kind in Kind::ALL {
            visit(&schema(kind), &mut |value| assert!(value != "null" && !value.is_null()));
        }
    }

    #[test]
    fn it_says_which_kind_it_is_for_and_what_it_needs() {
        let schema = schema(Kind::Pool);
        assert_eq!(schema["title"], "Pool");
        assert_eq!(schema["$id"], "urn:lbagent:v1:Pool");
        assert_eq!(schema["required"], json!(["apiVersion", "kind", "metadata", "spec"]));
        assert!(schema["properties"].get("$schema").is_some());
    }
}
