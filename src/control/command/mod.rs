//! The command line and the commands that need no server: [`cli`] parses, [`account`] is who a
//! command is, [`check`] tries a server as a client, [`credentials`] makes time-limited ones,
//! [`doctor`] looks at the machine, [`ice`] says by which URLs clients come, [`import`] reads
//! coturn's configuration, [`manual`] writes the manual page and completions.

mod account;
mod check;
pub(super) mod cli;
pub(super) mod credential;
pub(super) mod credentials;
pub(super) mod doctor;
pub(super) mod ice;
pub(super) mod import;
pub(super) mod manual;
