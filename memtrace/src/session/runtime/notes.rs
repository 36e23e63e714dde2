//! What the reader of a report must know of a runtime.

/// Sentences, each once, in the order in which they came up.
#[derive(Debug, Default)]
pub(in crate::session) struct Notes(Vec<String>);

impl Notes {
    /// Adds one, unless it is there.
    pub(in crate::session) fn add(&mut self, note: String) {
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// All of them.
    pub(in crate::session) fn all(&self) -> Vec<String> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_said_once() {
        let mut notes = Notes::default();
        for note in ["b", "a", "b"] {
            notes.add(note.to_owned());
        }
        assert_eq!(notes.all(), ["b", "a"]);
    }
}
