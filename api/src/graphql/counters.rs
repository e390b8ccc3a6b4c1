//! How actions ended, by local day, kind and mode.

use async_graphql::{ComplexObject, SimpleObject};
use projections::bot_counters;

use super::names::{ActionKind, Mode};
use super::scalars::Date;

/// How actions ended. What was reserved is performed, simulated, refused, failed, in doubt or open; nothing else.
#[derive(Debug, Clone, Copy, SimpleObject)]
#[graphql(complex)]
pub struct Counts {
    /// Counted against the limits.
    reserved: u32,
    /// Instagram took them.
    performed: u32,
    /// Shown by a dry run.
    simulated: u32,
    /// Instagram said no.
    refused: u32,
    /// They surely had no effect.
    failed: u32,
    /// Whether they had an effect is not known.
    in_doubt: u32,
    /// Reserved and not settled.
    open: u32,
    /// Times that an action had to wait; not part of the balance.
    suppressed: u32,
    #[graphql(skip)]
    balanced: bool,
}

#[ComplexObject]
impl Counts {
    /// Whether everything that was reserved is accounted for.
    async fn balanced(&self) -> bool {
        self.balanced
    }
}

impl From<bot_counters::Counts> for Counts {
    fn from(counts: bot_counters::Counts) -> Self {
        let balanced = counts.balance();
        let bot_counters::Counts { reserved, performed, simulated, refused, failed, in_doubt, open, suppressed } =
            counts;
        Self { reserved, performed, simulated, refused, failed, in_doubt, open, suppressed, balanced }
    }
}

/// How the actions of one local day, kind and mode ended.
#[derive(Debug, Clone, SimpleObject)]
pub struct DayCounter {
    /// The account's day.
    local_day: Date,
    /// Of which kind.
    kind: ActionKind,
    /// In which mode.
    mode: Mode,
    /// How they ended.
    counts: Counts,
}

/// The rows of the read model as the schema has them.
pub fn day_counters(rows: Vec<bot_counters::BotCounter>) -> Vec<DayCounter> {
    let counter = |row: bot_counters::BotCounter| DayCounter {
        local_day: row.local_day.into(),
        kind: row.kind.into(),
        mode: row.mode.into(),
        counts: row.counts.into(),
    };
    rows.into_iter().map(counter).collect()
}
