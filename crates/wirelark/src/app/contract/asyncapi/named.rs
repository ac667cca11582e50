//! Parts of a document that others refer to by name.

use serde::{Serialize, Serializer};

/// Things in the order they came, each with a name of its own.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Named<T>(Vec<(String, T)>);

impl<T> Named<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: PartialEq> Named<T> {
    /// Adds a thing and returns its name: the one asked for, if characters and other things permit. A thing that
    /// is there already under that name is not added again.
    pub(super) fn put(&mut self, name: &str, thing: T) -> String {
        let name = component_name(name);
        let mut candidate = name.clone();
        for number in 2.. {
            match self.0.iter().find(|(taken, _)| *taken == candidate) {
                None => break,
                Some((_, there)) if *there == thing => return candidate,
                Some(_) => candidate = format!("{name}{number}"),
            }
        }
        self.0.push((candidate.clone(), thing));
        candidate
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// As an object, in the order in which things came.
impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, thing)| (name, thing)))
    }
}

/// A name with the characters AsyncAPI allows in those of components.
pub(super) fn component_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_have_names_of_their_own() {
        let mut named = Named::default();
        assert_eq!(named.put("a", 1), "a");
        assert_eq!(named.put("a", 1), "a", "it is there");
        assert_eq!(named.put("a", 2), "a2");
        assert_eq!(named.put("a", 3), "a3");
        assert_eq!(named.put("a", 2), "a2", "it is there");
        assert_eq!(named.put("a2", 4), "a22", "the name is taken");
        assert_eq!(named.put("a b/c", 1), "a_b_c");
        assert_eq!(named.put("a:b/c", 2), "a_b_c2", "only allowed characters count");
        assert_eq!(
            serde_json::to_string(&named).ok().as_deref(),
            Some(r#"{"a":1,"a2":2,"a3":3,"a22":4,"a_b_c":1,"a_b_c2":2}"#)
        );
    }
}
