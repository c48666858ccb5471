//! Addresses: which ones are listened on and relayed on, what clients are told, which peers are
//! denied, and what comes and goes while the server runs.

mod dual;
mod external;
mod families;
mod interfaces;
mod listening;
mod own;
mod policy;
