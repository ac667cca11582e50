//! Steps, one after the other: each announced, timed, and listed at the end with what became of it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What became of a step that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// The machine lacks something the project cannot install. The summary says so: nothing is skipped in silence.
    NotRun(String),
}

/// Runs steps and remembers how they went.
#[derive(Debug)]
pub(crate) struct Steps {
    /// Only steps of these names; all when there are none.
    only: Vec<String>,
    known: Vec<&'static str>,
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    name: &'static str,
    took: Duration,
    outcome: Result<Outcome>,
}

impl Steps {
    pub(crate) fn new(only: &[String]) -> Self {
        Self { only: only.to_vec(), known: Vec::new(), done: Vec::new() }
    }

    /// Runs a step, unless others were asked for.
    pub(crate) fn run(&mut self, name: &'static str, about: &str, step: impl FnOnce() -> Result<Outcome>) {
        self.known.push(name);
        if !self.only.is_empty() && !self.only.iter().any(|wanted| wanted == name) {
            return;
        }
        println!("\n===== {name}: {about}");
        let start = Instant::now();
        let outcome = step();
        let done = Done { name, took: start.elapsed(), outcome };
        println!("----- {}", done.line());
        self.done.push(done);
    }

    /// Prints the summary. An error when a step failed, or when one was asked for that does not exist.
    pub(crate) fn finish(self, command: &str) -> Result<()> {
        if let Some(unknown) = self.only.iter().find(|wanted| !self.known.contains(&wanted.as_str())) {
            bail!("no step is called {unknown:?}: use one of {}", self.known.join(", "));
        }
        println!("\n===== summary of {command}");
        self.done.iter().for_each(|done| println!("{}", done.line()));
        let took: Duration = self.done.iter().map(|done| done.took).sum();
        let count = |wanted: fn(&Result<Outcome>) -> bool| {
            self.done.iter().filter(|done| wanted(&done.outcome)).count()
        };
        let passed = count(|outcome| matches!(outcome, Ok(Outcome::Passed)));
        let not_run = count(|outcome| matches!(outcome, Ok(Outcome::NotRun(_))));
        let failed = count(Result::is_err);
        println!("steps: {passed} passed, {failed} failed, {not_run} not run, in {}", spoken(took));
        match failed {
            0 => Ok(()),
            _ => {
                let names: Vec<_> =
                    self.done.iter().filter(|done| done.outcome.is_err()).map(|done| done.name).collect();
                bail!("failed: {}", names.join(", "))
            }
        }
    }
}

impl Done {
    fn line(&self) -> String {
        let (word, detail) = match &self.outcome {
            Ok(Outcome::Passed) => ("passed", String::new()),
            Ok(Outcome::NotRun(reason)) => ("NOT RUN", format!("  {reason}")),
            Err(error) => ("FAILED", format!("  {error:#}")),
        };
        format!("{:<14} {word:<8} {:>8}{detail}", self.name, spoken(self.took))
    }
}

fn spoken(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 60.. => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use anyhow::anyhow;

    use super::*;

    fn check(only: &[&str], ran: &[&str], end: Result<(), &str>) {
        let order = RefCell::new(Vec::new());
        let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
        let mut steps = Steps::new(&only);
        let mut step = |name: &'static str, outcome: Result<Outcome>| {
            steps.run(name, "", || {
                order.borrow_mut().push(name);
                outcome
            });
        };
        step("good", Ok(Outcome::Passed));
        step("bad", Err(anyhow!("broken")));
        step("absent", Ok(Outcome::NotRun("no such tool".to_owned())));
        let ended = steps.finish("the test").map_err(|error| error.to_string());
        assert_eq!(*order.borrow(), ran);
        assert_eq!(ended.as_ref().map_err(String::as_str).copied(), end);
    }

    #[test]
    fn a_failed_step_does_not_stop_the_others() {
        check(&[], &["good", "bad", "absent"], Err("failed: bad"));
    }

    #[test]
    fn what_is_not_run_is_no_failure() {
        check(&["good", "absent"], &["good", "absent"], Ok(()));
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_names_of_those_there_are() {
        check(&["goood"], &[], Err("no step is called \"goood\": use one of good, bad, absent"));
    }
}
