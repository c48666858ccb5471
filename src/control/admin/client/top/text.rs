//! Numbers and addresses in few columns.

use std::net::SocketAddr;

/// A number in three digits or so, by powers of 1000.
pub(super) fn short(number: f64) -> String {
    let (value, prefix) = scaled(number);
    format!("{value} {prefix}").trim_end().to_owned()
}

/// As [`short`], with its unit.
pub(super) fn bits(number: f64) -> String {
    let (value, prefix) = scaled(number);
    format!("{value} {prefix}bit/s")
}

fn scaled(number: f64) -> (String, &'static str) {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    let (mut value, mut unit) = (number, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    (format!("{value:.digits$}"), UNITS[unit])
}

/// An address that fits so many columns. The port is always whole: an address that is too long
/// loses the middle of its host.
pub(super) fn address(address: SocketAddr, columns: usize) -> String {
    let whole = address.to_string();
    let letters = whole.chars().count();
    if letters <= columns {
        return whole;
    }
    let (host, port) = whole.rsplit_once(':').expect("a socket address has a port");
    let room = columns.saturating_sub(port.len() + 2);
    let (begin, end) = (room - room / 2, room / 2);
    let tail: String = host.chars().skip(host.chars().count() - end.min(host.len())).collect();
    let head: String = host.chars().take(begin).collect();
    format!("{head}…{tail}:{port}")
}

/// So many columns of a text; an ellipsis stands for the rest.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let head: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{head}…")
}

/// A share as a bar of eighths of a column.
pub(super) fn meter(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    format!("{bar:<columns$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [(0.0, "0"), (999.0, "999"), (1000.0, "1.0 k"), (2.5e9, "2.5 G")] {
            assert_eq!(short(number), text);
        }
        assert_eq!(bits(4e6), "4.0 Mbit/s");
    }

    #[test]
    fn a_port_is_never_cut() {
        let v4 = "192.168.100.100:58647".parse().unwrap();
        assert_eq!(address(v4, 21), "192.168.100.100:58647");
        assert_eq!(address(v4, 18), "192.16…0.100:58647");
        let v6 = "[2001:db8:1234:5678:9abc:def0:1234:5678]:58647".parse().unwrap();
        for columns in 8..60 {
            let text = address(v6, columns);
            assert!(text.ends_with(":58647") && text.chars().count() <= columns.max(8), "{text}");
        }
        assert_eq!(address(v6, 21), "[2001:d…4:5678]:58647");
    }

    #[test]
    fn meters_and_texts_fit() {
        assert_eq!(meter(0.5, 4), "██  ");
        assert_eq!(meter(0.28125, 4), "█▏  ");
        assert_eq!((meter(7.0, 3), meter(0.0, 3)), ("███".to_owned(), "   ".to_owned()));
        assert_eq!((cut("alice", 5), cut("alice", 4)), ("alice".to_owned(), "ali…".to_owned()));
    }
}
