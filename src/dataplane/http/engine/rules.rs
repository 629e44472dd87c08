//! What an operator does to the fields of a head on its way, made ready to be done.

use super::head::write_field;

/// Names of fields that go, and lines that come. However many steps it was made of, a head is gone through once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    dropped: Vec<Box<str>>,
    added: Vec<(Box<str>, Box<[u8]>)>,
    /// What is added, as it is written.
    lines: Box<[u8]>,
}

impl HeaderRules {
    /// Every line of this name goes, whoever it is from.
    pub fn remove(&mut self, name: &str) {
        if !self.drops(name.as_bytes()) {
            self.dropped.push(name.into());
        }
        self.added.retain(|(added, _)| !added.eq_ignore_ascii_case(name));
        self.spell();
    }

    /// One line of this name stands for all others. Name and value are written as they are: a token, and a value without
    /// line ends.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    /// One more line.
    pub fn add(&mut self, name: &str, value: &str) {
        self.added.push((name.into(), value.as_bytes().into()));
        self.spell();
    }

    /// Nothing is done.
    pub fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.added.is_empty()
    }

    /// Whether lines of this name go.
    pub(super) fn drops(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|dropped| dropped.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The lines that come.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    fn spell(&mut self) {
        let mut lines = Vec::new();
        self.added.iter().for_each(|(name, value)| write_field(&mut lines, &**name, value));
        self.lines = lines.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_has_the_last_word() {
        let mut rules = HeaderRules::default();
        assert!(rules.is_empty());
        rules.set("X-A", "1");
        rules.add("X-B", "1");
        rules.add("x-a", "2");
        assert_eq!(rules.lines(), b"X-A: 1\r\nX-B: 1\r\nx-a: 2\r\n");
        assert!(rules.drops(b"x-A") && !rules.drops(b"X-B"));
        rules.set("X-a", "3");
        rules.remove("x-b");
        assert_eq!(rules.lines(), b"X-a: 3\r\n");
        assert!(rules.drops(b"X-B") && !rules.is_empty());
    }
}
