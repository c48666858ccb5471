//! Which datagrams of a train one verdict holds for.

use super::{channel::ChannelData, stun::header::PacketKind};

/// How many datagrams at the start of a train are judged as one, when each has `segment_bytes`: at
/// least 1.
///
/// ChannelData frames of one header have the same channel and length, so that what holds for the
/// first holds for all of them. What is neither STUN nor ChannelData is one as bad as the other.
/// STUN messages come one by one.
pub fn run(train: &[u8], segment_bytes: usize) -> usize {
    match PacketKind::of(train) {
        PacketKind::ChannelData => frames(train, segment_bytes).max(1),
        PacketKind::Other => {
            let datagrams = train.chunks(segment_bytes.max(1));
            let is_other = |datagram: &&[u8]| PacketKind::of(datagram) == PacketKind::Other;
            datagrams.take_while(is_other).count().max(1)
        }
        PacketKind::Stun => 1,
    }
}

fn frames(train: &[u8], segment_bytes: usize) -> usize {
    let Some(header) = train.first_chunk::<{ ChannelData::HEADER_BYTES }>() else { return 1 };
    if segment_bytes < header.len() {
        return 1;
    }
    train.chunks_exact(segment_bytes).take_while(|frame| frame.starts_with(header)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_frames_ends_where_header_or_size_changes() {
        let frame = |channel: u8| [0x40, channel, 0, 2, 9, 9];
        let train = [frame(1), frame(1), frame(1), frame(2), frame(1)].concat();
        assert_eq!(run(&train, 6), 3);
        assert_eq!(run(&train[18..], 6), 1);
        assert_eq!(run(&train[..17], 6), 2);
        assert_eq!(run(&train[..5], 6), 1);
        assert_eq!(run(&train, 3), 1);
        assert_eq!(run(&[0; 40], 20), 1);
        assert_eq!(run(&[], 0), 1);
    }

    #[test]
    fn a_run_of_junk_ends_where_something_else_begins() {
        let train = [[0xC5, 1], [0x90, 2], [0x00, 3], [0xC5, 4], [0xC5, 5]].concat();
        assert_eq!(run(&train, 2), 2);
        assert_eq!(run(&train[6..], 2), 2);
        assert_eq!(run(&train[6..9], 2), 2, "the last one may be shorter");
    }
}
