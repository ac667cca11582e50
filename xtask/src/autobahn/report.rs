//! The verdicts the suite wrote down, read and judged strictly.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// All verdicts of one run.
#[derive(Debug)]
pub(crate) struct Report {
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    id: String,
    /// How the messages were judged, and how the end of the connection was.
    behavior: String,
    behavior_close: String,
    /// From the case's own report; only read for those that are not as they should be.
    detail: String,
}

impl Case {
    /// INFORMATIONAL is for cases in which the protocol leaves the choice.
    fn holds(&self) -> bool {
        [&self.behavior, &self.behavior_close]
            .iter()
            .all(|verdict| matches!(verdict.as_str(), "OK" | "INFORMATIONAL"))
    }
}

impl Report {
    /// Reads `index.json`, which is only there after a run to the end.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("index.json");
        let text = fs::read_to_string(&path).with_context(|| {
            format!("the suite wrote no {}: see wstest.log beside its folder", path.display())
        })?;
        let index = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        let mut report = Self::from_index(&index)?;
        for (case, file) in &mut report.cases_with_files(&index) {
            let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
            case.detail = detail(&serde_json::from_str(&text).unwrap_or_default());
        }
        Ok(report)
    }

    fn from_index(index: &Value) -> Result<Self> {
        let mut cases = Vec::new();
        for (id, verdict) in agent(index)? {
            let text = |key: &str| verdict[key].as_str().unwrap_or("missing").to_owned();
            cases.push(Case {
                id: id.clone(),
                behavior: text("behavior"),
                behavior_close: text("behaviorClose"),
                detail: String::new(),
            });
        }
        cases.sort_by_key(|case| numbers(&case.id));
        Ok(Self { cases })
    }

    /// The cases that do not hold, each with its own report's name.
    fn cases_with_files(&mut self, index: &Value) -> Vec<(&mut Case, String)> {
        let files = agent(index).ok();
        let bad = self.cases.iter_mut().filter(|case| !case.holds());
        bad.map(|case| {
            let file = files.and_then(|files| files.get(&case.id)?["reportfile"].as_str());
            let file = file.unwrap_or_default().to_owned();
            (case, file)
        })
        .collect()
    }

    /// The suite can end early without a word.
    pub(crate) fn check_count(&self, expected: usize) -> Result<()> {
        match self.cases.len() {
            count if count == expected => Ok(()),
            count => bail!("the suite judged {count} cases, where {expected} were asked for"),
        }
    }

    pub(crate) fn check_strictly(&self) -> Result<()> {
        if self.cases.is_empty() {
            bail!("the suite judged no case at all");
        }
        let wrong: Vec<_> =
            self.cases.iter().filter(|case| !case.holds()).map(|case| case.id.as_str()).collect();
        match wrong.len() {
            0 => Ok(()),
            count => bail!("{count} cases are neither OK nor informational: {}", wrong.join(", ")),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in self.cases.iter().filter(|case| !case.holds()) {
            let Case { id, behavior, behavior_close, detail } = case;
            writeln!(f, "case {id}: {behavior}, at the close {behavior_close}\n{detail}")?;
        }
        let mut counts = BTreeMap::<_, usize>::new();
        for case in &self.cases {
            *counts.entry(&case.behavior).or_default() += 1;
        }
        let counts: Vec<_> = counts.iter().map(|(behavior, count)| format!("{count} {behavior}")).collect();
        writeln!(f, "autobahn: {} cases: {}", self.cases.len(), counts.join(", "))
    }
}

fn agent(index: &Value) -> Result<&serde_json::Map<String, Value>> {
    let agents = index.as_object().context("the index is no object")?;
    agents.values().next().and_then(Value::as_object).context("the index names no server")
}

/// `1.10` comes behind `1.9`.
fn numbers(id: &str) -> Vec<u32> {
    id.split('.').map(|number| number.parse().unwrap_or(u32::MAX)).collect()
}

/// What a case did, wanted and got.
fn detail(case: &Value) -> String {
    let mut lines = String::new();
    for key in ["description", "expectation", "result", "resultClose", "expected", "received"] {
        let text = match &case[key] {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // Whole megabytes of payload stand in some.
        let short: String = text.chars().take(300).collect();
        lines
            .push_str(&format!("    {key}: {short}{}\n", if short.len() < text.len() { " ..." } else { "" }));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(verdicts: &[(&str, &str, &str)]) -> Report {
        let cases: serde_json::Map<_, _> = verdicts
            .iter()
            .map(|(id, behavior, close)| {
                ((*id).to_owned(), json!({ "behavior": behavior, "behaviorClose": close }))
            })
            .collect();
        Report::from_index(&json!({ "wirelark": cases })).expect("an index as the suite writes it")
    }

    #[test]
    fn ok_and_informational_hold() {
        let report = report(&[("1.1.10", "OK", "OK"), ("1.1.9", "INFORMATIONAL", "INFORMATIONAL")]);
        report.check_strictly().expect("both hold");
        report.check_count(2).expect("there are two");
        assert_eq!(report.cases[0].id, "1.1.9");
        assert_eq!(report.to_string(), "autobahn: 2 cases: 1 INFORMATIONAL, 1 OK\n");
    }

    #[test]
    fn tolerated_answers_do_not_hold() {
        for (behavior, close) in
            [("NON-STRICT", "OK"), ("FAILED", "OK"), ("OK", "UNCLEAN"), ("OK", "WRONG CODE")]
        {
            let error = report(&[("6.4.1", behavior, close), ("1.1.1", "OK", "OK")]).check_strictly();
            let error = error.expect_err("one case does not hold").to_string();
            assert!(error.contains("1 cases") && error.contains("6.4.1"), "{error}");
        }
    }

    #[test]
    fn a_run_that_ended_early_does_not_hold() {
        report(&[]).check_strictly().expect_err("no verdict is no success");
        let error = report(&[("1.1.1", "OK", "OK")]).check_count(301).expect_err("300 are missing");
        assert!(error.to_string().contains("301"), "{error}");
    }
}
