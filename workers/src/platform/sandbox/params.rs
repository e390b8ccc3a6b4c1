//! The parameters of a call: a query on GET and DELETE, a form on POST and PATCH. What is missing
//! or wrong is a 422 in the gateway's form.

use std::{collections::BTreeSet, str::FromStr};

use super::reply::Refusal;

/// The parameters, in the order sent; a list is the same name repeated.
#[derive(Debug, Clone, Default)]
pub(super) struct Params {
    /// `query` or `body`: where errors say that a field is.
    location: &'static str,
    fields: Vec<(String, String)>,
}

impl Params {
    pub(super) fn query(text: &str) -> Option<Self> {
        Self::parse("query", text)
    }

    pub(super) fn form(text: &str) -> Option<Self> {
        Self::parse("body", text)
    }

    fn parse(location: &'static str, text: &str) -> Option<Self> {
        let uri: axum::http::Uri = format!("/?{text}").parse().ok()?;
        let axum::extract::Query(fields) = axum::extract::Query::try_from_uri(&uri).ok()?;
        Some(Self { location, fields })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::field(self.location, name, "missing", "Field required", None))
    }

    pub(super) fn integer<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        self.text(name).map(|text| self.parsed(name, text)).transpose()
    }

    pub(super) fn required_integer<T: FromStr>(&self, name: &str) -> Result<T, Refusal> {
        self.parsed(name, self.required(name)?)
    }

    /// A list of integers without repeats; empty when it was not sent.
    pub(super) fn integers(&self, name: &str) -> Result<BTreeSet<u64>, Refusal> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| self.parsed(name, value)).collect()
    }

    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn float(&self, name: &str, default: f64) -> Result<f64, Refusal> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.parse().map_err(|_| {
            Refusal::field(self.location, name, "float_parsing", "Input should be a valid number", Some(text))
        })
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.text(name) {
            None => Ok(default),
            Some("true" | "True" | "1" | "yes" | "on") => Ok(true),
            Some("false" | "False" | "0" | "no" | "off") => Ok(false),
            Some(text) => {
                Err(Refusal::field(self.location, name, "bool_parsing", "Input should be a valid boolean", Some(text)))
            }
        }
    }

    /// `amount` of a page: 1 to 200.
    pub(super) fn amount(&self, default: usize) -> Result<usize, Refusal> {
        let amount = self.integer::<i64>("amount")?.map_or(Ok(default), |amount| {
            usize::try_from(amount).map_err(|_| self.out_of_range(amount, "greater_than_equal", 1))
        })?;
        match amount {
            0 => Err(self.out_of_range(0, "greater_than_equal", 1)),
            1..=200 => Ok(amount),
            _ => Err(self.out_of_range(i64::try_from(amount).unwrap_or(i64::MAX), "less_than_equal", 200)),
        }
    }

    /// The one of these parameters that was sent; none or several is an error.
    pub(super) fn exactly_one<'a>(&'a self, names: &[&'static str]) -> Result<(&'static str, &'a str), Refusal> {
        let mut sent = names.iter().filter_map(|name| Some((*name, self.text(name)?)));
        match (sent.next(), sent.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(Refusal::invalid(&format!("Provide exactly one of {}", names.join(", ")))),
        }
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &str, text: &str) -> Result<T, Refusal> {
        text.trim().parse().map_err(|_| {
            Refusal::field(
                self.location,
                name,
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer",
                Some(text),
            )
        })
    }

    fn out_of_range(&self, amount: i64, kind: &str, bound: u8) -> Refusal {
        let words = kind.replace('_', " ");
        let message = format!("Input should be {words} to {bound}");
        Refusal::field(self.location, "amount", kind, &message, Some(&amount.to_string()))
    }
}
