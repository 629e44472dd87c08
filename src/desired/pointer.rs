use super::source::Span;
use jsonc_parser::{
    ast::{Object, ObjectProp, Value},
    common::Ranged,
};
use std::{borrow::Cow, fmt};

/// A place in a document: an RFC 6901 JSON pointer, as `/spec/listeners/0/port`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(Vec<Segment>);

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Key(Cow<'static, str>),
    Index(usize),
}

impl Pointer {
    /// The document itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The field `key` of this.
    pub fn key(&self, key: impl Into<Cow<'static, str>>) -> Self {
        self.child(Segment::Key(key.into()))
    }

    /// The element `index` of this.
    pub fn index(&self, index: usize) -> Self {
        self.child(Segment::Index(index))
    }

    /// What a person would call the field that this is: its last key.
    pub fn noun(&self) -> &str {
        let last = self.0.iter().rev().find_map(|segment| match segment {
            Segment::Key(key) => Some(&**key),
            Segment::Index(_) => None,
        });
        last.unwrap_or("document")
    }

    /// Where in the text a mark for it belongs: at the value if that fits on a line, else at its key; where it is
    /// missing, at the innermost thing around it that is there.
    pub fn span(&self, root: &Value<'_>) -> Span {
        let mut span = first_character(root);
        let mut value = root;
        for segment in &self.0 {
            match (segment, value) {
                (Segment::Key(key), Value::Object(object)) => {
                    let Some(property) = object.get(key) else { break };
                    span = property_span(property);
                    value = &property.value;
                }
                (Segment::Index(index), Value::Array(array)) => {
                    let Some(element) = array.elements.get(*index) else { break };
                    span = if is_container(element) { first_character(element) } else { bytes(element) };
                    value = element;
                }
                _ => break,
            }
        }
        span
    }

    /// Where the key of this field stands, rather than its value.
    pub fn key_span(&self, root: &Value<'_>) -> Span {
        let Some((Segment::Key(key), parents)) = self.0.split_last() else { return self.span(root) };
        let mut value = root;
        for segment in parents {
            let child = match (segment, value) {
                (Segment::Key(key), Value::Object(object)) => object.get(key).map(|property| &property.value),
                (Segment::Index(index), Value::Array(array)) => array.elements.get(*index),
                _ => None,
            };
            let Some(child) = child else { return self.span(root) };
            value = child;
        }
        let property = value.as_object().and_then(|object: &Object<'_>| object.get(key));
        property.map_or_else(|| self.span(root), |property| bytes(&property.name))
    }

    /// This pointer, seen from `key` of an outer document.
    pub(super) fn within_key(mut self, key: &str) -> Self {
        self.0.insert(0, Segment::Key(Cow::Owned(key.to_owned())));
        self
    }

    /// This pointer, seen from element `index` of an outer list.
    pub(super) fn within_index(mut self, index: usize) -> Self {
        self.0.insert(0, Segment::Index(index));
        self
    }

    fn child(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Key(key) => {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    write!(f, "/{}", key.escape_debug())?;
                }
                Segment::Index(index) => write!(f, "/{index}")?,
            }
        }
        Ok(())
    }
}

/// Where a mark for a field belongs: at its value, or at its key if the value takes several lines.
pub(super) fn property_span(property: &ObjectProp<'_>) -> Span {
    if is_container(&property.value) { bytes(&property.name) } else { bytes(&property.value) }
}

/// Where a mark for an element of a list belongs.
pub(super) fn element_span(element: &Value<'_>) -> Span {
    if is_container(element) { first_character(element) } else { bytes(element) }
}

/// The byte range of a node.
pub(super) fn bytes(node: &impl Ranged) -> Span {
    let range = node.range();
    range.start..range.end
}

fn is_container(value: &Value<'_>) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

fn first_character(value: &Value<'_>) -> Span {
    let start = value.range().start;
    start..start + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::json;

    fn marked(text: &'static str, pointer: &Pointer) -> &'static str {
        let value = json::parse(text, false).unwrap();
        &text[pointer.span(&value)]
    }

    const TEXT: &str = r#"{"a": {"b": [1, {"c": "x"}]}, "d/e": true}"#;

    #[test]
    fn a_scalar_is_marked_itself_and_a_container_by_its_key() {
        let root = Pointer::root();
        assert_eq!(marked(TEXT, &root), "{");
        assert_eq!(marked(TEXT, &root.key("a")), "\"a\"");
        assert_eq!(marked(TEXT, &root.key("a").key("b")), "\"b\"");
        assert_eq!(marked(TEXT, &root.key("a").key("b").index(0)), "1");
        assert_eq!(marked(TEXT, &root.key("a").key("b").index(1)), "{");
        assert_eq!(marked(TEXT, &root.key("a").key("b").index(1).key("c")), "\"x\"");
        assert_eq!(marked(TEXT, &root.key("d/e")), "true");
    }

    #[test]
    fn what_is_missing_is_marked_at_the_innermost_thing_around_it() {
        let root = Pointer::root();
        assert_eq!(marked(TEXT, &root.key("z").key("y")), "{");
        assert_eq!(marked(TEXT, &root.key("a").key("z")), "\"a\"");
        assert_eq!(marked(TEXT, &root.key("a").key("b").index(7)), "\"b\"");
        assert_eq!(marked(TEXT, &root.key("d/e").key("z")), "true");
    }

    #[test]
    fn a_key_can_be_marked_instead_of_its_value() {
        let value = json::parse(TEXT, false).unwrap();
        let pointer = Pointer::root().key("a").key("b").index(1).key("c");
        assert_eq!(&TEXT[pointer.key_span(&value)], "\"c\"");
    }

    #[test]
    fn it_is_written_as_rfc_6901_wants_it() {
        let pointer = Pointer::root().key("spec").key("a/b~c").index(3);
        assert_eq!(pointer.to_string(), "/spec/a~1b~0c/3");
        assert_eq!(pointer.noun(), "a/b~c");
        assert_eq!(Pointer::root().to_string(), "");
    }
}
