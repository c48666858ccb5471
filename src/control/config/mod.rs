//! Configuration: written by the operator, read raw, settled once.
//!
//! ```text
//! command line ─┐
//! environment ──┼─ raw: typed, with places ── settle: defaults, bounds, this machine ── Config
//! TOML file ────┘   (the command line wins, then the environment)
//! ```
//!
//! A [`Config`] is concrete and final: every address is one to open a socket on, every number is
//! inside its bounds, every default has been taken. Nothing further down looks at an option again.
//!
//! ```text
//! schema/    the keys             value/     what their values are made of
//! file/      what is read         addresses/ what the addresses asked for come to, here
//! settle     options to Config    load       finds and reads them, and settles
//! settled    Config itself        derived    keys that are more than their value
//! change     from one Config to the next     render/   what people read
//! ```

mod addresses;
mod change;
mod derived;
pub(super) mod environment;
mod file;
mod load;
mod render;
pub mod schema;
mod settle;
mod settled;
#[cfg(test)]
mod tests;
mod value;

pub(super) use addresses::families::ServedFamilies;
pub use addresses::machine::Machine;
pub use addresses::{Addresses, Asked};
pub use change::Change;
pub use file::exposure::Exposure;
pub(super) use file::source::variable_name;
pub use file::source::{ConfigError, Remedy};
pub(super) use file::text::read_bytes;
pub use file::users::UsersFile;
pub use load::Origin;
pub use render::example::example_file;
pub use render::table::options_table;
pub use schema::{Options, Values};
pub use settled::{Config, PairFiles, WorkerPlace};
pub(crate) use value::Value;
pub use value::address::PortRange;
pub(super) use value::address::is_private;
pub(crate) use value::address::{ExternalIp, MetricsAddress};
pub use value::choice::{IoChoice, LogFormat};
pub(crate) use value::credential::Realm;
pub use value::credential::{Proof, Secret, User, UserKey};
pub(super) use value::path::{ControlPath, FilePath};
pub(crate) use value::server::ServerAddress;
pub(super) use value::server::look_up;
pub(super) use value::web::{HostPattern, WebAddress};
