//! Numbers as people read them.

use crate::count::latency::Latency;

/// 1,234,567
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 950, 12.3 k, 1.25 M
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        magnitude if magnitude >= 1e6 => format!("{:.2} M", number / 1e6),
        magnitude if magnitude >= 1e4 => format!("{:.1} k", number / 1e3),
        magnitude if magnitude >= 1e3 => format!("{:.2} k", number / 1e3),
        _ => format!("{number:.0}"),
    }
}

/// The same on an axis, where what is whole has no digits behind it: 400 k, 1.5 M.
pub(crate) fn tick_short(number: f64) -> String {
    let (number, unit) = match number.abs() {
        magnitude if magnitude >= 1e6 => (number / 1e6, " M"),
        magnitude if magnitude >= 1e3 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    format!("{}{unit}", (number * 100.0).round() / 100.0)
}

/// What stands where nothing was measured.
pub(crate) const NOTHING: &str = "-";

/// A figure as `write` writes it, or what says that there is none.
pub(crate) fn known(figure: Option<f64>, write: impl FnOnce(f64) -> String) -> String {
    figure.map_or_else(|| NOTHING.to_owned(), write)
}

/// The figures of a latency, in the order of their names.
pub(crate) fn latency_cells(latency: Option<&Latency>) -> [String; 5] {
    latency.map_or([NOTHING; 5].map(str::to_owned), |latency| latency.figures_us().map(time_us))
}

/// 850 ns, 12.3 µs, 4.56 ms, 1.20 s
pub(crate) fn time_us(micros: f64) -> String {
    match micros {
        _ if micros >= 1e6 => format!("{:.2} s", micros / 1e6),
        _ if micros >= 1e3 => format!("{:.2} ms", micros / 1e3),
        _ if micros >= 1.0 => format!("{micros:.1} µs"),
        _ => format!("{:.0} ns", micros * 1e3),
    }
}

/// The same on an axis: 100 µs, 2.5 ms.
pub(crate) fn tick_time(micros: f64) -> String {
    let (number, unit) = match micros {
        _ if micros >= 1e6 => (micros / 1e6, "s"),
        _ if micros >= 1e3 => (micros / 1e3, "ms"),
        _ if micros >= 1.0 || micros == 0.0 => (micros, "µs"),
        _ => (micros * 1e3, "ns"),
    };
    format!("{} {unit}", (number * 100.0).round() / 100.0)
}

/// 512 bit/s, 12.5 kbit/s, 1.50 Mbit/s, 2.00 Gbit/s
pub(crate) fn bits(gbps: f64) -> String {
    match gbps {
        _ if gbps >= 1.0 => format!("{gbps:.2} Gbit/s"),
        _ if gbps >= 1e-3 => format!("{:.2} Mbit/s", gbps * 1e3),
        _ if gbps >= 1e-6 => format!("{:.1} kbit/s", gbps * 1e6),
        _ => format!("{:.0} bit/s", gbps * 1e9),
    }
}

/// 512 B, 12.5 KiB, 1.50 MiB, 2.00 GiB
pub(crate) fn bytes(bytes: f64) -> String {
    match bytes {
        _ if bytes >= 1_073_741_824.0 => format!("{:.2} GiB", bytes / 1_073_741_824.0),
        _ if bytes >= 1_048_576.0 => format!("{:.2} MiB", bytes / 1_048_576.0),
        _ if bytes >= 1_024.0 => format!("{:.1} KiB", bytes / 1_024.0),
        _ => format!("{bytes:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_threes() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn what_was_not_measured_is_no_number() {
        assert_eq!(latency_cells(None), ["-"; 5]);
        let latency = Latency { max_us: 12.0, ..Latency::default() };
        assert_eq!(latency_cells(Some(&latency))[4], "12.0 µs");
        assert_eq!(known(Some(3.0), short), "3");
    }

    #[test]
    fn units_follow_the_size() {
        assert_eq!(
            [950.0, 1_250.0, 12_340.0, 1_250_000.0].map(short),
            ["950", "1.25 k", "12.3 k", "1.25 M"]
        );
        assert_eq!(
            [0.5, 12.34, 4_560.0, 1.2e6].map(time_us),
            ["500 ns", "12.3 µs", "4.56 ms", "1.20 s"]
        );
        assert_eq!([0.0, 950.0, 4e5, 1.5e6].map(tick_short), ["0", "950", "400 k", "1.5 M"]);
        assert_eq!(
            [0.0, 0.5, 100.0, 2_500.0].map(tick_time),
            ["0 µs", "500 ns", "100 µs", "2.5 ms"]
        );
        assert_eq!(
            [0.0, 64e-6, 0.32e-3, 0.0064, 2.5].map(bits),
            ["0 bit/s", "64.0 kbit/s", "320.0 kbit/s", "6.40 Mbit/s", "2.50 Gbit/s"]
        );
        assert_eq!(
            [512.0, 12_800.0, 1.5 * 1_048_576.0].map(bytes),
            ["512 B", "12.5 KiB", "1.50 MiB"]
        );
    }
}
