//! A request whose credentials were verified: the argument of every handler that needs the proof.

use crate::turn::{
    api::{names::path::Path, now::Now},
    auth::authenticator::Authenticated,
};
use crate::wire::Message;

/// One verified request.
pub(in crate::turn) struct Request<'r> {
    pub(in crate::turn) now: Now,
    pub(in crate::turn) path: Path,
    pub(in crate::turn) message: &'r Message<'r>,
    pub(in crate::turn) authenticated: &'r Authenticated<'r>,
}
