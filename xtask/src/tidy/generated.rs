//! Generated pages must be what would be generated now.

use anyhow::Result;

use super::Finding;
use crate::docs;

pub(crate) fn check() -> Result<Vec<Finding>> {
    let stale = docs::stale()?.into_iter().map(|(path, line)| {
        Finding::error(path, line, "the page is not what the code says: run `cargo xtask docs` and commit it")
    });
    Ok(stale.collect())
}
