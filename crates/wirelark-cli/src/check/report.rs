//! A comparison as people read it.

use std::fmt;

use super::{Change, Comparison, ContractComparison, Effect};

impl fmt::Display for Comparison {
    /// Contracts with their changes, and then the lines of a changelog.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for contract in &self.contracts {
            writeln!(f, "{contract}")?;
        }
        let mut changelog = self.changelog().peekable();
        if changelog.peek().is_some() {
            writeln!(f, "For the changelog:\n")?;
            changelog.try_for_each(|line| writeln!(f, "{line}"))?;
            writeln!(f)?;
        }
        f.write_str(match self.compatible {
            true => "Compatible: clients of the old version can go on with the new one.",
            false => "Breaking: some of what clients of the old version do will fail.",
        })
    }
}

impl fmt::Display for ContractComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, old_hash, new_hash, changes } = self;
        write!(f, "contract {name}")?;
        match (old_hash, new_hash) {
            (Some(old), Some(new)) if old == new => write!(f, ", version {old}")?,
            (Some(old), Some(new)) => write!(f, ", versions {old} and {new}")?,
            (Some(only), None) | (None, Some(only)) => write!(f, ", version {only}")?,
            (None, None) => {}
        }
        writeln!(f)?;
        if changes.is_empty() {
            writeln!(f, "  no change")?;
        }
        for change in changes {
            writeln!(f, "{change}")?;
        }
        if let Some(hash) = self.hash_to_accept() {
            writeln!(f, "  let old clients in with .also_accepts([\"{hash}\"]) where it is served")?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effect, place, from, to, what, why, .. } = self;
        let effect = match effect {
            Effect::Breaking => "BREAKING",
            Effect::Compatible => "compatible",
            Effect::Documentation => "documentation",
        };
        write!(f, "  {effect}")?;
        if !place.is_empty() {
            write!(f, " {place}")?;
        }
        write!(f, ": {what}\n    {why}")?;
        if let (Some(from), Some(to)) = (from, to) {
            write!(f, "\n    from {from}\n    to   {to}")?;
        }
        Ok(())
    }
}
