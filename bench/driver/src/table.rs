//! The results as Markdown, for RESULTS.md and the terminal.

use std::fmt::Write as _;

use bench_load::report::Footprint;

use crate::cases::{Case, Kind};
use crate::engines::{Engine, FLOOR_NAME, OURS_NAME};
use crate::results::{Cell, Results};

/// The whole page.
pub(crate) fn markdown(results: &Results, engines: &[Engine], cases: &[Case]) -> String {
    let mut page = heading(results);
    page.push_str(&glance(results, engines, cases));
    for case in cases {
        let _ = write!(page, "\n## {}\n\n", case.title);
        page.push_str(&match case.kind {
            Kind::Echo | Kind::Message(_) | Kind::Call(_) | Kind::FanOut | Kind::Handshake => {
                rates(results, engines, case)
            }
            Kind::Idle => footprints(results, engines, case),
        });
    }
    page.push_str("\n## Engines\n\n");
    for engine in engines {
        let _ = writeln!(page, "- **{}**: {}.", engine.name, engine.about);
    }
    page
}

fn heading(results: &Results) -> String {
    let Results { command, machine, rounds, seconds, repeats, .. } = results;
    let quiet = results.quiet().map_or_else(String::new, |(median, worst)| {
        format!(
            "- Other programs left the two cores {:.0} % of the time in the median measurement, {:.0} % in the worst. \
             Under 90 %, a measurement is repeated up to {repeats} times and the quietest kept.\n",
            median * 100.0,
            worst * 100.0,
        )
    });
    format!(
        "# Benchmark results\n\n\
         Written by the bench driver on {}; this command writes it again:\n\n```sh\n{command}\n```\n\n\
         - Machine: {}; load average before the run {}.\n\
         - Versions: {}.\n\
         - {rounds} round(s) of {seconds} s a measurement, the engines in turn within each; a fresh server every \
         time. Figures are medians, ± is half the range. Differences under 10 % are not findings.\n\
         - The server has one core to itself, the generator spins on another. Loopback, no TLS, no compression, \
         TCP_NODELAY. Every reply is checked for content and order.\n\
         {quiet}\
         - CPU is the on-CPU time of all threads of the server, the kernel's part of its system calls included. \
         \"× floor\" compares it with {FLOOR_NAME}, \"× {OURS_NAME}\" with ours: above 1, the engine costs more than \
         Wirelark.\n\n",
        machine.date,
        machine.hardware,
        machine.load_average,
        machine.versions.join(", "),
    )
}

/// One row an engine, one column a case.
fn glance(results: &Results, engines: &[Engine], cases: &[Case]) -> String {
    let cases: Vec<&Case> = cases.iter().filter(|case| case.kind != Kind::Idle).collect();
    if cases.is_empty() {
        return String::new();
    }
    let mut table = Table::new("## At a glance: server CPU, µs per message, call, delivery or handshake\n\n");
    let columns = cases.iter().map(|case| case.name.to_owned());
    table.head("engine", columns);
    for engine in engines {
        let cells = cases.iter().map(|case| match results.cell(engine, case) {
            Cell::Absent(_) => "not run".to_owned(),
            Cell::Failed(_) => "failed".to_owned(),
            cell => cell.cpu_micros().map_or_else(|| "–".to_owned(), micros),
        });
        table.row(engine.name, cells);
    }
    table.text
}

fn rates(results: &Results, engines: &[Engine], case: &Case) -> String {
    let reference = |name| engines.iter().find(|engine| engine.name == name);
    let cost_of = |name| reference(name).and_then(|engine| results.cell(engine, case).cpu_micros());
    let (floor, ours) = (cost_of(FLOOR_NAME), cost_of(OURS_NAME));
    let mut table = Table::new("");
    let columns = [
        format!("CPU µs / {}", case.kind.unit()),
        "×&nbsp;floor".to_owned(),
        format!("×&nbsp;{OURS_NAME}"),
        format!("{} / s", case.kind.units()),
        "server busy".to_owned(),
    ];
    table.head("engine", columns);
    for engine in engines {
        match results.cell(engine, case) {
            Cell::Rate { cpu_micros, per_second, server_share } => table.row(
                engine.name,
                [
                    format!("{} ± {:.0} %", micros(cpu_micros.value), cpu_micros.spread * 100.0),
                    ratio(cpu_micros.value, floor),
                    ratio(cpu_micros.value, ours),
                    thousands(per_second),
                    format!("{:.0} %", server_share * 100.0),
                ],
            ),
            other => table.remark(engine.name, &other),
        }
    }
    table.text
}

fn footprints(results: &Results, engines: &[Engine], case: &Case) -> String {
    let cells = || engines.iter().map(|engine| (engine, results.cell(engine, case)));
    let user_bytes = |cell: &Cell| match cell {
        Cell::Idle(idle) => Some(idle.after_small.user_bytes),
        Cell::None | Cell::Absent(_) | Cell::Failed(_) | Cell::Rate { .. } => None,
    };
    let ours = cells().find(|(engine, _)| engine.name == OURS_NAME).and_then(|(_, cell)| user_bytes(&cell));
    let count = cells().find_map(|(_, cell)| match cell {
        Cell::Idle(idle) => Some(idle.connections),
        Cell::None | Cell::Absent(_) | Cell::Failed(_) | Cell::Rate { .. } => None,
    });
    let mut table = Table::new(&format!(
        "Bytes per connection with {} connections, each after one message and 2 s of rest: growth of the server's \
         resident memory (user) and half of what the pair of sockets takes in the kernel.\n\n",
        thousands(count.unwrap_or_default() as f64),
    ));
    let columns = [
        "user, after 64 B",
        "×&nbsp;wirelark",
        "user, after 16 KiB",
        "kernel, after 64 B",
        "kernel, after 16 KiB",
    ];
    table.head("engine", columns.map(str::to_owned));
    let kernel =
        |footprint: Footprint| footprint.kernel_bytes.map_or_else(|| "not readable".to_owned(), thousands);
    for (engine, cell) in cells() {
        match cell {
            Cell::Idle(idle) => table.row(
                engine.name,
                [
                    thousands(idle.after_small.user_bytes),
                    ratio(idle.after_small.user_bytes, ours),
                    thousands(idle.after_large.user_bytes),
                    kernel(idle.after_small),
                    kernel(idle.after_large),
                ],
            ),
            other => table.remark(engine.name, &other),
        }
    }
    table.text
}

struct Table {
    text: String,
    columns: usize,
}

impl Table {
    fn new(before: &str) -> Self {
        Self { text: before.to_owned(), columns: 0 }
    }

    fn head(&mut self, first: &str, columns: impl IntoIterator<Item = String>) {
        let columns: Vec<String> = columns.into_iter().collect();
        self.columns = columns.len();
        let _ = writeln!(
            self.text,
            "| {first} | {} |\n|---|{}",
            columns.join(" | "),
            "---:|".repeat(self.columns)
        );
    }

    fn row(&mut self, first: &str, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        let _ = writeln!(self.text, "| {first} | {} |", cells.join(" | "));
    }

    /// A row of an engine that has no figures: it says why. One that does not take part has none.
    fn remark(&mut self, first: &str, cell: &Cell) {
        let remark = match cell {
            Cell::Absent(reason) => format!("not run: {reason}"),
            Cell::Failed(reason) => format!("**failed**: {reason}"),
            Cell::None | Cell::Rate { .. } | Cell::Idle(_) => return,
        };
        let remark = remark.replace('|', "/").replace('\n', " ");
        let _ = writeln!(self.text, "| {first} | {remark} |{}", " |".repeat(self.columns - 1));
    }
}

fn micros(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

fn ratio(value: f64, reference: Option<f64>) -> String {
    reference.map_or_else(|| "–".to_owned(), |reference| format!("{:.2}", value / reference))
}

/// `1234567.8` as `1,234,568`.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0.2, 12.0, 123.4, 1234.5, -1_234_567.0].map(thousands),
            ["0", "12", "123", "1,234", "-1,234,567"]
        );
    }
}
