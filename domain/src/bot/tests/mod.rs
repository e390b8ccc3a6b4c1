//! Given, when, then for every decision; the state table cell by cell; properties of random histories.

mod account;
mod actions;
mod activity;
mod automation;
mod hours;
mod limits;
mod login;
mod model;
mod properties;
mod random;
mod rows;
mod story;
mod table;
mod trouble;
mod volume;
mod what_if;
mod windows;
