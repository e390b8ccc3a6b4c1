//! Cron expressions: five fields, or an alias. Which local times match; no time zone and no instant is known here.
//!
//! As in Vixie's cron: lists, ranges, steps, names of months and weekdays, 7 for Sunday, and a day matches when the
//! day of the month or the weekday does, but both where either field starts with `*`. In addition `L`, the last day of
//! the month. What other dialects have, or what would be taken for something else than it is, is refused with a hint.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use serde::{Deserialize, Serialize};

use super::error::ScheduleError;

/// The longest expression, in characters.
const LONGEST: usize = 256;

/// The last year in which anything is due.
const LAST_YEAR: i32 = 9_999;

/// Stands for `L` in the set of days.
const LAST_DAY: u64 = 1 << 32;

const ALIASES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A cron expression that fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    /// As given, with single spaces.
    text: String,
    fields: Fields,
}

/// Sets of numbers, a bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day has to match both day fields; else one is enough.
    both_days: bool,
}

impl Cron {
    /// Reads an expression; refuses one that never fires.
    pub fn try_new(expression: &str) -> Result<Self, ScheduleError> {
        let fields = parse(expression).map_err(|fault| fault.of(expression))?;
        let text = expression.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(why) = fields.never_fires() {
            return Err(ScheduleError::NeverFires { given: format!("cron expression {text:?}"), why });
        }
        Ok(Self { text, fields })
    }

    /// The expression as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names all hours of the day.
    pub(super) fn is_every_hour(&self) -> bool {
        self.fields.hours == HOUR.all()
    }

    /// The minutes of an hour that match.
    pub(super) fn minutes(&self) -> impl Iterator<Item = u32> + use<> {
        let minutes = self.fields.minutes;
        (MINUTE.first..=MINUTE.last).filter(move |minute| has(minutes, *minute))
    }

    /// The first hour from that of `from` on in which something matches.
    pub(super) fn next_hour(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let fields = &self.fields;
        let mut date = from.date();
        let mut hours = fields.hours & (u64::MAX << from.hour());
        // It fires, and even 29 February on a named weekday comes at most 40 years later.
        while date.year() <= LAST_YEAR {
            if !has(fields.months, date.month()) {
                date = first_of_next_month(date)?;
            } else if hours != 0 && fields.has_day(date) {
                return date.and_hms_opt(hours.trailing_zeros(), 0, 0);
            } else {
                date = date.succ_opt()?;
            }
            hours = fields.hours;
        }
        None
    }
}

impl TryFrom<String> for Cron {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::try_new(&text)
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl Fields {
    fn has_day(&self, date: NaiveDate) -> bool {
        let is_last = first_of_next_month(date).and_then(|next| next.pred_opt()) == Some(date);
        let day = has(self.days, date.day()) || (is_last && self.days & LAST_DAY != 0);
        let weekday = has(self.weekdays, date.weekday().num_days_from_sunday());
        if self.both_days { day && weekday } else { day || weekday }
    }

    /// Why no date ever matches. A day that a month has falls on every weekday in some year, 29 February too.
    fn never_fires(&self) -> Option<String> {
        let comes = |month: u32| {
            let longest = match month {
                2 => 29,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            self.days & (LAST_DAY | ((1 << (longest + 1)) - 1)) != 0
        };
        let months = (MONTH.first..=MONTH.last).filter(|month| has(self.months, *month));
        let fires = !self.both_days || months.clone().any(comes);
        let names: Vec<String> = months.map(|month| MONTH.label(month)).collect();
        (!fires).then(|| format!("{} has no day {}", names.join(", "), self.days.trailing_zeros()))
    }
}

fn has(set: u64, number: u32) -> bool {
    set & (1 << number) != 0
}

fn first_of_next_month(date: NaiveDate) -> Option<NaiveDate> {
    let (year, month) = if date.month() == 12 { (date.year() + 1, 1) } else { (date.year(), date.month() + 1) };
    NaiveDate::from_ymd_opt(year, month, 1)
}

/// What is wrong with an expression, and at which byte.
struct Fault {
    at: usize,
    problem: String,
}

impl Fault {
    fn new(at: usize, problem: impl Into<String>) -> Self {
        Self { at, problem: problem.into() }
    }

    fn of(self, expression: &str) -> ScheduleError {
        let before = expression.char_indices().take_while(|(at, _)| *at < self.at).count();
        let column = before.min(LONGEST) + 1;
        let expression = expression.chars().take(LONGEST).collect();
        ScheduleError::InvalidCron { expression, column, problem: self.problem }
    }
}

fn parse(expression: &str) -> Result<Fields, Fault> {
    if let Some((at, _)) = expression.char_indices().nth(LONGEST) {
        return Err(Fault::new(at, format!("an expression has at most {LONGEST} characters")));
    }
    let words = pieces(expression, |byte| byte.is_ascii_whitespace());
    let words: Vec<_> = words.into_iter().filter(|(_, word)| !word.is_empty()).collect();
    match words[..] {
        [(at, alias)] if alias.starts_with('@') => parse_alias(at, alias),
        [(at, word), ..] if word.contains('=') => {
            Err(Fault::new(at, "the time zone is given beside the expression, not in it"))
        }
        [minute, hour, day, month, weekday] => Ok(Fields {
            minutes: MINUTE.set(minute)?,
            hours: HOUR.set(hour)?,
            days: DAY.set(day)?,
            months: MONTH.set(month)?,
            weekdays: WEEKDAY.set(weekday)?,
            both_days: day.1.starts_with('*') || weekday.1.starts_with('*'),
        }),
        [_, _, _, _, _, (at, _), ..] => {
            let problem =
                "five fields are enough: minute, hour, day of the month, month, weekday (no seconds, no year)";
            Err(Fault::new(at, problem))
        }
        _ => {
            let missing = [MINUTE, HOUR, DAY, MONTH, WEEKDAY][words.len()..].iter().map(|field| field.name);
            let problem = format!("missing: {}", missing.collect::<Vec<_>>().join(", "));
            Err(Fault::new(expression.trim_ascii_end().len(), problem))
        }
    }
}

fn parse_alias(at: usize, alias: &str) -> Result<Fields, Fault> {
    if alias.eq_ignore_ascii_case("@reboot") {
        return Err(Fault::new(at, "@reboot has no due time; a start of the service runs nothing by itself"));
    }
    if let Some((_, meaning)) = ALIASES.iter().find(|(name, _)| alias.eq_ignore_ascii_case(name)) {
        return parse(meaning);
    }
    let names: Vec<_> = ALIASES.iter().map(|(name, _)| *name).collect();
    Err(Fault::new(at, format!("{alias:?} is none of {}", names.join(", "))))
}

/// The pieces between separators of one byte, each with where it begins.
fn pieces(text: &str, separates: impl Fn(u8) -> bool) -> Vec<(usize, &str)> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| separates(*byte)).map(|(at, _)| at);
    let mut begin = 0;
    ends.chain([text.len()])
        .map(|end| {
            let piece = (begin, &text[begin..end]);
            begin = end + 1;
            piece
        })
        .collect()
}

/// One of the five fields.
#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// The highest number that may be written.
    highest: u32,
    /// From `first` on.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", first: 0, last: 59, highest: 59, names: &[] };
const HOUR: Field = Field { name: "hour", first: 0, last: 23, highest: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", first: 1, last: 31, highest: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    highest: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const WEEKDAY: Field =
    Field { name: "weekday", first: 0, last: 6, highest: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };

impl Field {
    fn all(&self) -> u64 {
        (self.first..=self.last).fold(0, |set, number| set | 1 << number)
    }

    fn is_weekday(&self) -> bool {
        self.highest == WEEKDAY.highest
    }

    fn label(&self, number: u32) -> String {
        let name = self.names.get((number - self.first) as usize);
        name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
    }

    /// The numbers of a list.
    fn set(&self, (begin, text): (usize, &str)) -> Result<u64, Fault> {
        let mut set = 0;
        for (at, item) in pieces(text, |byte| byte == b',') {
            set |= self.item(begin + at, item)?;
        }
        // 7 is Sunday as well.
        Ok(if self.is_weekday() { (set | (set >> 7)) & self.all() } else { set })
    }

    /// The numbers of a range with or without a step, or of a single value.
    fn item(&self, at: usize, item: &str) -> Result<u64, Fault> {
        if self.highest == DAY.highest && item.eq_ignore_ascii_case("L") {
            return Ok(LAST_DAY);
        }
        let (base, step) = item.split_once('/').map_or((item, None), |(base, step)| (base, Some(step)));
        let (first, last) = if base == "*" {
            (self.first, self.last)
        } else if let Some((from, until)) = base.split_once('-') {
            self.range(at, from, until)?
        } else {
            let value = self.value(at, base)?;
            if step.is_some() {
                let problem = format!("a step needs a range: write {base}-{}{}", self.last, &item[base.len()..]);
                return Err(Fault::new(at + base.len(), problem));
            }
            (value, value)
        };
        let step = step.map_or(Ok(1), |step| self.step(at + base.len() + 1, step))?;
        Ok((first..=last).step_by(step).fold(0, |set, number| set | 1 << number))
    }

    fn range(&self, at: usize, from: &str, until: &str) -> Result<(u32, u32), Fault> {
        let first = self.value(at, from)?;
        let last = self.value(at + from.len() + 1, until)?;
        // A week may end with its Sunday.
        let last = if self.is_weekday() && last == 0 && first > 0 { 7 } else { last };
        if first <= last {
            return Ok((first, last));
        }
        let (field_first, field_last) = (self.label(self.first), self.label(self.last));
        let problem = format!("{from}-{until} runs backwards: write {from}-{field_last},{field_first}-{until}");
        Err(Fault::new(at, problem))
    }

    fn step(&self, at: usize, step: &str) -> Result<usize, Fault> {
        let most = self.last - self.first + 1;
        let number = digits(step).filter(|number| (1..=most).contains(number));
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| Fault::new(at, format!("a step of the {} is 1 to {most}; {step:?} is not", self.name)))
    }

    fn value(&self, at: usize, text: &str) -> Result<u32, Fault> {
        let named = self.names.iter().zip(self.first..).find(|(name, _)| text.eq_ignore_ascii_case(name));
        let number = named.map(|(_, number)| number).or_else(|| digits(text));
        if let Some(number) = number.filter(|number| (self.first..=self.highest).contains(number)) {
            return Ok(number);
        }
        let or_name = match self.names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let rule = format!("the {} is {} to {}{or_name}", self.name, self.first, self.highest);
        Err(Fault::new(at, hint(text).map_or_else(|| format!("{rule}; {text:?} is not"), ToOwned::to_owned)))
    }
}

fn digits(text: &str) -> Option<u32> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a `u32` has are out of every range.
    all.then(|| text.parse().unwrap_or(u32::MAX))
}

/// What to write in place of what other schedulers understand.
fn hint(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_uppercase();
    let numbered = |letter: char| {
        text.strip_suffix(letter)
            .is_some_and(|before| before == "L" || before.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if text.is_empty() {
        Some("a value is missing here")
    } else if text == "?" {
        Some("? belongs to another scheduler's dialect: write *")
    } else if text == "H" || text.starts_with("H(") {
        Some("H belongs to another scheduler's dialect: give a number, and let the jitter spread the starts")
    } else if text.contains('#') {
        Some("the n-th weekday of a month cannot be given")
    } else if numbered('W') {
        Some("the nearest working day cannot be given")
    } else if numbered('L') {
        Some("L is the last day of the month, and stands alone in the third field")
    } else {
        None
    }
}
