//! Pages of the documentation that are made from the code they describe.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, Result};

use crate::workspace;

/// A generated page: where it is and what it says.
struct Page {
    path: &'static str,
    text: String,
}

fn pages() -> [Page; 1] {
    [Page { path: "docs/src/close-codes.md", text: close_codes() }]
}

/// Writes every generated page.
pub(crate) fn write() -> Result<()> {
    for page in pages() {
        fs::write(workspace::root().join(page.path), page.text)
            .with_context(|| format!("{} cannot be written", page.path))?;
        println!("wrote {}", page.path);
    }
    Ok(())
}

/// Pages that are not what they should be, with the first line that differs.
pub(crate) fn stale() -> Result<Vec<(&'static str, usize)>> {
    let mut stale = Vec::new();
    for page in pages() {
        let found = match fs::read_to_string(workspace::root().join(page.path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            found => found.with_context(|| format!("{} cannot be read", page.path))?,
        };
        stale.extend(first_difference(&found, &page.text).map(|line| (page.path, line)));
    }
    Ok(stale)
}

fn first_difference(found: &str, wanted: &str) -> Option<usize> {
    if found == wanted {
        return None;
    }
    let same = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

fn close_codes() -> String {
    let table = wirelark_proto::table_markdown();
    format!(
        "<!-- Written by `cargo xtask docs`: change the table in crates/wirelark-proto/src/codes.rs instead. -->

# Close codes

A WebSocket ends with a close frame, and its code tells the other end why. This table is the one the server
is compiled from: for each code it says whether a client that was closed with it should connect again.

{table}
Codes from 4400 on are ours. They repeat an HTTP status, for clients that cannot see why an upgrade was
refused: a browser shows a page neither the status nor the body of a failed upgrade, only 1006. Any other code
between 3000 and 4999 belongs to the application, and only it can tell what a client should do.

In Rust, `CloseCode` holds a code and `CloseCode::entry` its row of this table.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nx\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("", "a\n"), Some(1));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
    }

    #[test]
    fn the_page_has_a_row_for_every_code() {
        let page = close_codes();
        for entry in wirelark_proto::table() {
            assert!(page.contains(&format!("| `{}` |", entry.name)), "{} is missing", entry.name);
        }
    }
}
