//! Inside the main crate modules sit on floors, and a file uses only its own floor and those below. A floor that must
//! reach up is given a callback when it is made.

use std::collections::HashMap;

use super::Finding;
use super::source::{NamedPath, Source};

/// The modules of each floor, from the ground up.
const FLOORS: [&[&str]; 7] = [
    &["limits", "rate", "observe", "budget", "shared_frame", "prometheus"],
    &["net"],
    &["connection"],
    &["hub"],
    &["app"],
    &["serve"],
    &["testing"],
];

const SOURCE_FOLDER: &str = "crates/wirelark/src/";

/// Which floor a name of the crate's root belongs to.
#[derive(Debug)]
pub(crate) struct Floors {
    by_name: HashMap<String, usize>,
}

impl Floors {
    /// Reads the re-exports of `lib.rs`: `crate::SendError` means the floor it comes from.
    pub(crate) fn read(root_module: &str) -> Self {
        let mut by_name = HashMap::new();
        for path in Source::new("lib.rs", root_module).paths() {
            if let [root, module, .., name] = path.segments.as_slice()
                && root == "crate"
                && let Some(floor) = floor_of_module(module)
            {
                by_name.insert(name.clone(), floor);
            }
        }
        Self { by_name }
    }

    pub(crate) fn check(&self, source: &Source) -> Vec<Finding> {
        let Some(file) = source.path.strip_prefix(SOURCE_FOLDER) else { return Vec::new() };
        if file == "lib.rs" {
            return Vec::new();
        }
        let depth = module_depth(file);
        let module = file.split(['/', '.']).next().unwrap_or(file);
        let Some(own) = floor_of_module(module) else {
            let message =
                format!("the module `{module}` stands on no floor: give it one in xtask/src/tidy/floors.rs");
            return vec![Finding::error(&source.path, 1, message)];
        };
        let paths = source.paths();
        let reaches_up = paths.iter().filter_map(|path| {
            let name = name_at_the_root(path, depth)?;
            let floor = floor_of_module(name).or_else(|| self.by_name.get(name).copied())?;
            (floor > own).then(|| {
                let message = format!(
                    "`{module}` (floor {own}) uses `crate::{name}` (floor {floor}): take a callback at construction \
                     instead, or move the code up"
                );
                Finding::error(&source.path, path.line, message)
            })
        });
        reaches_up.collect()
    }
}

fn floor_of_module(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// How many `super` lead from a file to the crate's root.
fn module_depth(file: &str) -> usize {
    let folders = file.matches('/').count();
    if file.ends_with("/mod.rs") { folders } else { folders + 1 }
}

/// What a path takes from the crate's root: the name behind `crate::`, or behind as many `super::` as lead there.
fn name_at_the_root(path: &NamedPath, depth: usize) -> Option<&str> {
    let segments = &path.segments;
    if segments[0] == "crate" {
        return segments.get(1).map(String::as_str);
    }
    let up = segments.iter().take_while(|segment| *segment == "super").count();
    (up == depth).then(|| segments.get(up).map(String::as_str)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "
        mod hub; mod net;
        pub use crate::connection::{ConnectionId, SendError};
        pub use crate::observe::names as metric_names;
        pub use crate::hub::Hub;
    ";

    fn check(file: &str, code: &str, expected: &[(usize, &str)]) {
        let source = Source::new(&format!("{SOURCE_FOLDER}{file}"), code);
        let findings = Floors::read(LIB).check(&source);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, (line, name)) in findings.iter().zip(expected) {
            assert_eq!(finding.line, *line, "{finding}");
            assert!(finding.message.contains(&format!("`crate::{name}`")), "{finding}");
        }
    }

    #[test]
    fn up_is_refused_and_down_is_not() {
        check("connection/mod.rs", "use crate::limits::Limits;\nuse crate::hub::Hub;", &[(2, "hub")]);
        check("hub/shard.rs", "use crate::{connection::Connection, net::wire};", &[]);
        check(
            "net/wire.rs",
            "use crate::{limits::A,\n connection::B,\n serve::C};",
            &[(2, "connection"), (3, "serve")],
        );
        check("serve.rs", "fn f() { crate::testing::host(); crate::app::App::new(); }", &[(1, "testing")]);
    }

    #[test]
    fn the_roots_re_exports_stand_on_the_floor_they_come_from() {
        check("net/mod.rs", "use crate::SendError;", &[(1, "SendError")]);
        check("hub/mod.rs", "use crate::SendError;", &[]);
        check("limits.rs", "fn f(_: &crate::Hub) {}", &[(1, "Hub")]);
    }

    #[test]
    fn super_leads_to_the_root_too() {
        check("limits.rs", "use super::hub::Hub;", &[(1, "hub")]);
        check("connection/outbox.rs", "use super::Connection;\nuse super::super::app::App;", &[(2, "app")]);
    }

    #[test]
    fn documentation_and_tests_may_point_anywhere() {
        check("limits.rs", "/// See [`crate::Hub`].\n#[cfg(test)]\nmod tests { use crate::hub::Hub; }", &[]);
    }

    #[test]
    fn a_new_module_needs_a_floor() {
        let source = Source::new("crates/wirelark/src/jobs/mod.rs", "");
        let findings = Floors::read(LIB).check(&source);
        assert!(findings[0].message.contains("`jobs` stands on no floor"), "{findings:?}");
    }
}
