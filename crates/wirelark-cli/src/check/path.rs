//! Where contracts are served.

/// Whether whoever comes to `path` is let in by a route of this pattern. The names of parameters make no difference.
pub(super) fn leads_to(path: &str, pattern: &str) -> bool {
    let (path, pattern): (Vec<_>, Vec<_>) = (path.split('/').collect(), pattern.split('/').collect());
    path.len() == pattern.len()
        && path.iter().zip(&pattern).all(|(segment, pattern)| is_parameter(pattern) || segment == pattern)
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_any_segment() {
        assert!(leads_to("/chat/{room}", "/chat/{id}"));
        assert!(leads_to("/chat/lobby", "/chat/{room}"));
        assert!(!leads_to("/chat/{room}", "/chat/lobby"), "other rooms are gone");
        assert!(!leads_to("/chat", "/chat/{room}"));
        assert!(!leads_to("/chat/lobby/door", "/chat/{room}"));
        assert!(!leads_to("/talk", "/chat"));
    }
}
