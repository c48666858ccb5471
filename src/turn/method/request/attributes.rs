//! Which attributes this server understands (RFC 8489 §14).

use crate::wire::{AttributeType, Message};

/// Attributes listed in one 420: a request may carry hundreds.
const LISTED: usize = 16;

/// The comprehension-required attributes of RFC 8489, RFC 8656 and RFC 6062 that a request may
/// carry here.
fn is_understood(kind: AttributeType) -> bool {
    matches!(
        kind,
        AttributeType::MAPPED_ADDRESS
            | AttributeType::USERNAME
            | AttributeType::MESSAGE_INTEGRITY
            | AttributeType::ERROR_CODE
            | AttributeType::UNKNOWN_ATTRIBUTES
            | AttributeType::CHANNEL_NUMBER
            | AttributeType::LIFETIME
            | AttributeType::XOR_PEER_ADDRESS
            | AttributeType::DATA
            | AttributeType::REALM
            | AttributeType::NONCE
            | AttributeType::XOR_RELAYED_ADDRESS
            | AttributeType::REQUESTED_ADDRESS_FAMILY
            | AttributeType::EVEN_PORT
            | AttributeType::REQUESTED_TRANSPORT
            | AttributeType::DONT_FRAGMENT
            | AttributeType::MESSAGE_INTEGRITY_SHA256
            | AttributeType::XOR_MAPPED_ADDRESS
            | AttributeType::RESERVATION_TOKEN
            | AttributeType::CONNECTION_ID
    )
}

/// True for an attribute that makes its message unusable here.
pub(in crate::turn) fn is_unknown(kind: AttributeType) -> bool {
    kind.comprehension_required() && !is_understood(kind)
}

/// The attributes a request was refused for, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct Unknown {
    kinds: [AttributeType; LISTED],
    count: usize,
}

impl Unknown {
    /// Finds them; `None` when the message can be used.
    pub(in crate::turn) fn of(message: &Message<'_>) -> Option<Unknown> {
        let mut unknown = Unknown { kinds: [AttributeType(0); LISTED], count: 0 };
        for attribute in message.attributes().filter(|attribute| is_unknown(attribute.kind)) {
            unknown.record(attribute.kind);
        }
        (unknown.count > 0).then_some(unknown)
    }

    /// The attributes, in the order they were met.
    pub(in crate::turn) fn list(&self) -> &[AttributeType] {
        &self.kinds[..self.count]
    }

    fn record(&mut self, kind: AttributeType) {
        if self.count < LISTED && !self.list().contains(&kind) {
            self.kinds[self.count] = kind;
            self.count += 1;
        }
    }
}
