//! A file that has grown past what one reads in a sitting. A reminder, not a rule: cutting a straight story into
//! pieces makes it no shorter.

use super::Finding;

const LINES_MAX: usize = 900;

pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= LINES_MAX || !path.ends_with(".rs") {
        return Vec::new();
    }
    let message =
        format!("{lines} lines are more than {LINES_MAX}: move what has a name of its own to its own file");
    vec![Finding::warning(path, LINES_MAX + 1, message)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_a_warning() {
        assert_eq!(check("a.rs", &"\n".repeat(LINES_MAX)), []);
        let findings = check("a.rs", &"\n".repeat(LINES_MAX + 1));
        assert!(findings[0].warning && findings[0].message.starts_with("901 lines"), "{findings:?}");
    }
}
