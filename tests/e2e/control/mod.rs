//! A server's life and its operators: start, reload, drain, stop, and the commands for each.

mod check;
pub mod commands;
mod drain;
mod reload;
mod service;
mod start;
mod stop;
mod unfit_files;
