//! The workers on a real database and the real sandbox.

#[cfg(feature = "failpoints")]
mod crash;
mod desk;
mod desk_trouble;
mod errands;
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
