//! What was measured, against the machine's own rates, which were measured in the same run.

use serde::Serialize;

use super::load::{Loads, STEPS};
use super::rates::Rates;
use crate::output;

/// A figure and what it should be.
#[derive(Debug, Clone, Serialize)]
pub struct Ratio {
    what: &'static str,
    value: f64,
    /// At least this, or at most when `at_most`.
    target: f64,
    at_most: bool,
    met: bool,
}

/// The result.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the product's read models were filled meanwhile.
    with_projections: bool,
    rates: Rates,
    loads: Loads,
    ratios: Vec<Ratio>,
}

impl Report {
    pub fn of(with_projections: bool, rates: Rates, loads: Loads) -> Self {
        let ten_inserts_ms = f64::from(STEPS) * 1_000.0 / rates.one_client;
        let (ahead, durable) = (&loads.steps, &loads.durable_steps);
        let ratios = vec![
            at_least("(a) steps for each one-row insert of 32 clients", ahead.steps_per_second / rates.clients_32, 0.6),
            at_least(
                "(a) the same, each step durable before the next",
                durable.steps_per_second / rates.clients_32,
                0.6,
            ),
            at_most("(b) p50 of ten steps by ten one-client inserts", ahead.one_by_one_p50_ms / ten_inserts_ms, 2.5),
            at_most("(b) the same, each step durable before the next", durable.one_by_one_p50_ms / ten_inserts_ms, 2.5),
            at_least("(c) jobs for each one-row insert of 32 clients", loads.jobs_per_second / rates.clients_32, 0.6),
            at_most("(d) bytes of memory for each sleeping job", loads.bytes_per_sleeping_job, 1_024.0),
            at_most("(d) seconds until all that were woken had ended", loads.wake_seconds, 3.0),
        ];
        Self { with_projections, rates, loads, ratios }
    }

    pub fn text(&self) -> String {
        let (rates, loads) = (&self.rates, &self.loads);
        let mut rows = vec![
            [format!("one-row inserts/s, 1 client ({})", rates.by), format!("{:.0}", rates.one_client)],
            [format!("one-row inserts/s, 32 clients ({})", rates.by), format!("{:.0}", rates.clients_32)],
            [format!("rows/s, inserts of 500 rows ({})", rates.by), format!("{:.0}", rates.rows_of_500)],
        ];
        for (how, steps) in [("", &loads.steps), (", each durable before the next", &loads.durable_steps)] {
            rows.extend([
                [
                    format!("(a) {} workflows of {STEPS} steps{how}: workflows/s", loads.workflows),
                    format!("{:.0}", steps.workflows_per_second),
                ],
                [format!("(a) steps/s{how}"), format!("{:.0}", steps.steps_per_second)],
                [
                    format!("(b) {STEPS} steps, one workflow at a time{how}: p50 ms"),
                    format!("{:.2}", steps.one_by_one_p50_ms),
                ],
                [format!("(b) p99 ms{how}"), format!("{:.2}", steps.one_by_one_p99_ms)],
            ]);
        }
        rows.extend([
            [format!("(c) {} jobs of one step: jobs/s", loads.jobs), format!("{:.0}", loads.jobs_per_second)],
            [
                format!("(d) {} sleeping jobs: bytes each", loads.sleeping),
                format!("{:.0}", loads.bytes_per_sleeping_job),
            ],
            [format!("(d) {} woken at once: seconds", loads.woken), format!("{:.2}", loads.wake_seconds)],
        ]);
        let ratios = self.ratios.iter().map(|ratio| {
            let sign = if ratio.at_most { "at most" } else { "at least" };
            [
                ratio.what.to_owned(),
                format!("{:.2}", ratio.value),
                format!("{sign} {}", ratio.target),
                if ratio.met { "met" } else { "MISSED" }.to_owned(),
            ]
        });
        let figures = output::table(["FIGURE", "VALUE"], rows);
        let ratios = output::table(["RATIO", "VALUE", "TARGET", ""], ratios);
        let beside = if self.with_projections { "and the read models were filled" } else { "and nothing else ran" };
        format!("{figures}\n\n{ratios}\n\nEvery job's last event was durable before it counted, {beside}.")
    }
}

fn at_least(what: &'static str, value: f64, target: f64) -> Ratio {
    Ratio { what, value, target, at_most: false, met: value >= target }
}

fn at_most(what: &'static str, value: f64, target: f64) -> Ratio {
    Ratio { what, value, target, at_most: true, met: value <= target }
}
