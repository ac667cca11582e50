//! Marks people leave for later. What is not done belongs into a ticket, where somebody will find it.

use super::Finding;
use super::source::Source;

/// In two halves, so that this file has none of them.
const MARKS: [&str; 4] = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK"), concat!("TO", "DO")];

/// Marks in the comments of Rust code.
pub(crate) fn check_rust(source: &Source) -> Vec<Finding> {
    source.comments.iter().filter_map(|(line, comment)| check_line(&source.path, *line, comment)).collect()
}

/// Marks in any other text.
pub(crate) fn check_text(path: &str, text: &str) -> Vec<Finding> {
    text.lines().enumerate().filter_map(|(above, line)| check_line(path, above + 1, line)).collect()
}

fn check_line(path: &str, line: usize, text: &str) -> Option<Finding> {
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mark = words.find(|word| MARKS.contains(word))?;
    let message = format!(
        "`{mark}` was left over: do it, or open a ticket and say here why the code is as it is instead"
    );
    Some(Finding::error(path, line, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_in_comments_and_in_no_code() {
        for mark in MARKS {
            let code = format!("let {mark} = \"{mark}\";\n// {mark}: later\n/* {mark}_ */");
            let lines: Vec<_> =
                check_rust(&Source::new("a.rs", &code)).iter().map(|finding| finding.line).collect();
            assert_eq!(lines, [2], "{code}");
            assert_eq!(check_text("a.py", &format!("a = 1\n# {mark}(me): b")).len(), 1);
            assert_eq!(check_text("a.py", &format!("{}s", mark.to_lowercase())), []);
        }
    }
}
