//! The workers on a real database and the real sandbox.

#[cfg(feature = "failpoints")]
mod crash;
mod desk;
mod errands;
mod desk_trouble;
mod flow;
mod login;
mod modules;
mod policy;
mod scene;
mod schedules;
mod session;
mod sharing;
mod silence;
mod time;
