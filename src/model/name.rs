use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// The name of an object, node or backend: 1–63 characters out of `A–Z a–z 0–9 . _ -`, beginning and ending with a
/// letter or digit. Cheap to clone.
///
/// A little wider than a Kubernetes name (RFC 1123 label), because nodes are known by their host names and backends by
/// whatever their administrators have called them for years.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or longer than 63 characters.
    #[error("a name has 1 to 63 characters, this one has {0}")]
    Length(usize),
    /// A character that no name may hold.
    #[error("a name holds letters, digits, '.', '_' and '-', not {0:?}")]
    Character(char),
    /// A separator at the beginning or the end.
    #[error("a name begins and ends with a letter or a digit")]
    Edge,
}

impl Name {
    /// Checks and takes `text`.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let count = text.chars().count();
        if !(1..=63).contains(&count) {
            return Err(NameError::Length(count));
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-')) {
            return Err(NameError::Character(bad));
        }
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        if !edge(text.as_bytes().first()) || !edge(text.as_bytes().last()) {
            return Err(NameError::Edge);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Name::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_and_labels_are_names() {
        for good in ["lb1", "webA", "lb1.example.com", "a", "web-1_x"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_could_confuse_a_path_a_metric_or_a_page_is_refused() {
        assert_eq!(Name::new(""), Err(NameError::Length(0)));
        assert_eq!(Name::new(&"a".repeat(64)), Err(NameError::Length(64)));
        assert_eq!(Name::new("a/b"), Err(NameError::Character('/')));
        assert_eq!(Name::new("a b"), Err(NameError::Character(' ')));
        assert_eq!(Name::new("<b>"), Err(NameError::Character('<')));
        assert_eq!(Name::new(".."), Err(NameError::Edge));
        assert_eq!(Name::new("-a"), Err(NameError::Edge));
    }
}
