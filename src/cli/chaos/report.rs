//! The report: what went wrong, what was done, and whether all books agree.

use std::collections::BTreeMap;

use serde::Serialize;

use super::balance::{Balance, Line};
use crate::output;

/// The report; with `--json` it is the one object that is printed.
#[derive(Debug, Serialize)]
pub struct Report {
    pub agree: bool,
    seed: u64,
    seconds: f64,
    faults: BTreeMap<String, u32>,
    #[serde(flatten)]
    balance: Balance,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    holds: bool,
    detail: String,
}

impl Report {
    pub fn of(seed: u64, seconds: f64, faults: BTreeMap<String, u32>, balance: Balance) -> Self {
        let checks = checks(&balance);
        Self { agree: checks.iter().all(|check| check.holds), seed, seconds, faults, balance, checks }
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let faults = output::table(
            ["FAULT", "TIMES"],
            self.faults.iter().map(|(name, times)| [name.clone(), times.to_string()]),
        );
        let head = [
            "ACCOUNT",
            "KIND",
            "RESERVED",
            "PERFORMED",
            "REFUSED",
            "FAILED",
            "RECONCILED",
            "IN DOUBT",
            "OPEN",
            "COUNTED",
            "LEDGER",
            "TWICE",
        ];
        let lines = output::table(head, self.balance.lines.iter().map(cells));
        let states = &self.balance.jobs.by_state;
        let jobs =
            output::table(["JOBS", "COUNT"], states.iter().map(|(state, count)| [state.clone(), count.to_string()]));
        let checks = output::table(
            ["CHECK", "HOLDS", "DETAIL"],
            self.checks.iter().map(|check| {
                [check.what.to_owned(), if check.holds { "yes" } else { "NO" }.to_owned(), check.detail.clone()]
            }),
        );
        let verdict = if self.agree { "the books balance" } else { "the books do NOT balance" };
        format!("\n{faults}\n\n{lines}\n\n{jobs}\n\n{checks}\n\n{verdict}, after {:.0} s", self.seconds)
    }
}

fn cells(line: &Line) -> [String; 12] {
    let Line { account, kind, .. } = line;
    let numbers = [
        line.reserved,
        line.performed,
        line.refused,
        line.failed,
        line.reconciled,
        line.in_doubt,
        line.open,
        line.counted,
        line.ledger,
        line.duplicates,
    ];
    let [reserved, performed, refused, failed, reconciled, in_doubt, open, counted, ledger, duplicates] =
        numbers.map(|number| number.to_string());
    [
        account.clone(),
        kind.clone(),
        reserved,
        performed,
        refused,
        failed,
        reconciled,
        in_doubt,
        open,
        counted,
        ledger,
        duplicates,
    ]
}

fn checks(balance: &Balance) -> Vec<Check> {
    let lines = &balance.lines;
    let sum = |of: fn(&Line) -> i64| lines.iter().map(of).sum::<i64>();
    let wrong = |is_wrong: fn(&Line) -> bool| {
        let wrong: Vec<String> =
            lines.iter().filter(|line| is_wrong(line)).map(|line| format!("{} {}", line.account, line.kind)).collect();
        (wrong.is_empty(), wrong.join(", "))
    };
    let check = |what, (holds, detail): (bool, String), otherwise: String| Check {
        what,
        holds,
        detail: if holds { otherwise } else { detail },
    };
    vec![
        check(
            "everything reserved has its outcome",
            wrong(|line| line.open != 0),
            format!("{} reserved, none open", sum(|line| line.reserved)),
        ),
        check(
            "the ledger has what was performed",
            wrong(|line| {
                let done = line.performed + line.found_done;
                line.ledger < done || line.ledger > done + line.in_doubt
            }),
            format!(
                "{} performed, {} in the ledger",
                sum(|line| line.performed + line.found_done),
                sum(|line| line.ledger)
            ),
        ),
        check("the platform saw nothing twice", wrong(|line| line.duplicates != 0), "0 duplicates".to_owned()),
        check(
            "the counters are the events",
            wrong(|line| line.counted != line.performed + line.found_done || line.counted_reserved != line.reserved),
            "no difference".to_owned(),
        ),
        check("something was done", (sum(|line| line.performed) > 0, "nothing".to_owned()), String::new()),
        check(
            "no job is stuck without a reason",
            (balance.jobs.stuck.is_empty(), balance.jobs.stuck.join(", ")),
            "none".to_owned(),
        ),
        check(
            "no command was given up",
            (balance.jobs.dead_commands.is_empty(), format!("{:?}", balance.jobs.dead_commands)),
            "none".to_owned(),
        ),
        check(
            "the stored log is what was written",
            (balance.log_is_whole, "see `reprise audit verify`".to_owned()),
            format!("{} events", balance.events),
        ),
    ]
}
