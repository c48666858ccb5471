//! What `ethtool` says of an interface: which offloads are on, and how long its receive ring is.
//!
//! The kernel has no files for either, and `tuning/nic` changes them with the same program.

use std::collections::BTreeMap;

use super::programs::printed;

/// Asks `ethtool OPTION INTERFACE` of this machine; `None` where the program is missing or has no
/// answer.
pub(in crate::control) fn ask(option: &str, interface: &str) -> Option<String> {
    printed("ethtool", &[option, interface])
}

/// The offloads of an interface that can be switched, by the names of `ethtool -k`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Offloads(BTreeMap<String, bool>);

impl Offloads {
    /// Reads what `ethtool -k` prints; what is fixed, on or off, is left out.
    pub(in crate::control) fn read(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.trim().split_once(": "));
        let states = lines.filter_map(|(name, state)| match state {
            "on" => Some((name.to_owned(), true)),
            "off" => Some((name.to_owned(), false)),
            _ => None,
        });
        Self(states.collect())
    }

    /// True for one that is off and could be on.
    pub(in crate::control) fn is_switched_off(&self, name: &str) -> bool {
        self.0.get(name) == Some(&false)
    }
}

/// A ring of packets between the interface and the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) struct NicRing {
    /// Its length, in packets.
    pub(in crate::control) packets: u64,
    /// The longest it can be.
    pub(in crate::control) longest: u64,
}

impl NicRing {
    /// Reads the receive ring of what `ethtool -g` prints: the maximum first, then what is set.
    pub(in crate::control) fn read(text: &str) -> Option<Self> {
        let mut lengths =
            text.lines().filter_map(|line| line.strip_prefix("RX:")?.trim().parse().ok());
        let longest = lengths.next()?;
        Some(Self { packets: lengths.next()?, longest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloads_that_are_fixed_cannot_be_switched() {
        let text = "Features for eth0:\nrx-checksumming: on [fixed]\n\ttx-udp-segmentation: off\n\
                    generic-receive-offload: on\ntx-gso-list: off [fixed]\n";
        let offloads = Offloads::read(text);
        assert!(offloads.is_switched_off("tx-udp-segmentation"));
        for name in ["rx-checksumming", "generic-receive-offload", "tx-gso-list", "unheard-of"] {
            assert!(!offloads.is_switched_off(name), "{name}");
        }
    }

    #[test]
    fn a_ring_has_two_lengths() {
        let text = "Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\n\
                    TX:\t\t4096\nCurrent hardware settings:\nRX:\t\t256\nRX Mini:\tn/a\nTX:\t\t512\n";
        assert_eq!(NicRing::read(text), Some(NicRing { packets: 256, longest: 4096 }));
        assert_eq!(NicRing::read("Pre-set maximums:\nRX:\t\tn/a\n"), None);
        assert_eq!(NicRing::read(""), None);
    }
}
