//! The figures of a run, kept raw for JSON, and their medians for the tables.

use bench_load::report::{Footprint, Idle, Rate, Report};
use serde::Serialize;

use crate::cases::Case;
use crate::engines::Engine;
use crate::machine::Machine;

/// Everything there is to say about a run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    /// How often a disturbed measurement was repeated at most.
    pub(crate) repeats: u32,
    /// Engines that could not be run at all, with the reason.
    pub(crate) absent: Vec<(&'static str, String)>,
    #[serde(skip)]
    pub(crate) samples: Vec<Sample>,
}

/// One measurement or its failure.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) engine: &'static str,
    pub(crate) case: &'static str,
    pub(crate) round: u32,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Report(Report),
    Failed { failed: String },
}

/// What a table shows of an engine in a case.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// It does not take part, or was not asked for.
    None,
    Absent(String),
    /// At least one round failed; the others are not shown then.
    Failed(String),
    Rate {
        cpu_micros: Median,
        per_second: f64,
        server_share: f64,
    },
    Idle(Idle),
}

/// The middle of some figures and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Median {
    pub(crate) value: f64,
    /// Half of the distance between the extremes, as a share of the median.
    pub(crate) spread: f64,
}

impl Results {
    /// The raw figures: a line about the run, then one for each measurement.
    pub(crate) fn json_lines(&self) -> serde_json::Result<String> {
        let mut lines = serde_json::to_string(self)? + "\n";
        for sample in &self.samples {
            lines.push_str(&serde_json::to_string(sample)?);
            lines.push('\n');
        }
        Ok(lines)
    }

    /// How quiet the two cores were, in the median and in the worst measurement.
    pub(crate) fn quiet(&self) -> Option<(f64, f64)> {
        let shares = self.samples.iter().filter_map(|sample| match &sample.outcome {
            Outcome::Report(Report::Rate(rate)) => Some(rate.quiet()),
            Outcome::Report(_) | Outcome::Failed { .. } => None,
        });
        Some((Median::of(shares.clone())?.value, shares.reduce(f64::min)?))
    }

    pub(crate) fn cell(&self, engine: &Engine, case: &Case) -> Cell {
        if !engine.takes_part_in(case.kind) {
            return Cell::None;
        }
        if let Some((_, reason)) = self.absent.iter().find(|(name, _)| *name == engine.name) {
            return Cell::Absent(reason.clone());
        }
        let (mut rates, mut idles) = (Vec::new(), Vec::new());
        for sample in self.samples.iter().filter(|it| it.engine == engine.name && it.case == case.name) {
            match &sample.outcome {
                Outcome::Failed { failed } => return Cell::Failed(failed.clone()),
                Outcome::Report(Report::Rate(rate)) => rates.push(*rate),
                Outcome::Report(Report::Idle(idle)) => idles.push(*idle),
                // Of cases that the table does not have.
                Outcome::Report(Report::Hold(_) | Report::Stalled(_)) => {}
            }
        }
        if let Some(first) = idles.first() {
            return Cell::Idle(Idle {
                connections: first.connections,
                after_small: middle(&idles, |idle| idle.after_small),
                after_large: middle(&idles, |idle| idle.after_large),
            });
        }
        let of = |figure: fn(&Rate) -> f64| Median::of(rates.iter().map(figure));
        match (of(Rate::cpu_micros), of(Rate::per_second), of(Rate::server_share)) {
            (Some(cpu_micros), Some(per_second), Some(share)) => {
                Cell::Rate { cpu_micros, per_second: per_second.value, server_share: share.value }
            }
            _ => Cell::None,
        }
    }
}

impl Cell {
    /// The figure ratios are made of.
    pub(crate) fn cpu_micros(&self) -> Option<f64> {
        match self {
            Self::Rate { cpu_micros, .. } => Some(cpu_micros.value),
            Self::None | Self::Absent(_) | Self::Failed(_) | Self::Idle(_) => None,
        }
    }
}

impl Median {
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (first, last) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let value = if figures.len().is_multiple_of(2) {
            (figures[half - 1] + figures[half]) / 2.0
        } else {
            figures[half]
        };
        Some(Self { value, spread: (last - first) / 2.0 / value })
    }
}

fn middle(idles: &[Idle], footprint: impl Fn(&Idle) -> Footprint) -> Footprint {
    let footprints: Vec<Footprint> = idles.iter().map(footprint).collect();
    let user = Median::of(footprints.iter().map(|it| it.user_bytes));
    let kernel = Median::of(footprints.iter().filter_map(|it| it.kernel_bytes));
    Footprint { user_bytes: user.map_or(f64::NAN, |it| it.value), kernel_bytes: kernel.map(|it| it.value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_and_its_spread_half_the_range() {
        let check = |figures: &[f64], value, spread| {
            assert_eq!(Median::of(figures.iter().copied()), Some(Median { value, spread }));
        };
        check(&[4.0], 4.0, 0.0);
        check(&[5.0, 3.0, 4.0], 4.0, 0.25);
        check(&[3.0, 5.0], 4.0, 0.25);
        assert_eq!(Median::of([].into_iter()), None);
    }
}
