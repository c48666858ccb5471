//! Who is let in: logins, time-limited names, quotas, what strangers get, and what nobody may
//! learn.

mod login;
mod quota;
mod secrecy;
mod strangers;
pub mod time_limited;
