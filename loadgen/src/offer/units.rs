//! Numbers as people type them: `10k`, `1.5M`, `500ms`, `2m`.

/// What a slow reader reads when nothing else is said: 100 kbit/s.
const SLOW_BYTES_PER_S: f64 = 12_500.0;

const THOUSANDS: [(&str, f64); 4] = [("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9)];
const TIMES_S: [(&str, f64); 5] =
    [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];

/// What is more than any generator sends is a slip of the keyboard.
const MOST_PPS: f64 = 100e6;

/// Longest time: due times of a schedule have 48 bits of nanoseconds, 78 hours.
const MOST_HOURS: f64 = 72.0;

/// Packets a second, or as many as it takes to keep the generator busy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    Pps(f64),
    Max,
}

/// Clients that read no more than so much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SlowReaders {
    pub(crate) clients: usize,
    pub(crate) bytes_per_s: f64,
}

/// `10` or `10:20k`: clients, and the bytes a second each of them reads.
pub(crate) fn slow_readers(text: &str) -> Result<SlowReaders, String> {
    let (clients, bytes) = text.split_once(':').map_or((text, None), |(n, b)| (n, Some(b)));
    let bytes_per_s = match bytes {
        None => Some(SLOW_BYTES_PER_S),
        Some(bytes) => with_unit(bytes, &THOUSANDS, 1.0),
    };
    let bytes_per_s = bytes_per_s.filter(|bytes| *bytes >= 1.0);
    let bytes_per_s =
        bytes_per_s.ok_or("expected clients and bytes a second, as 10 or 10:20k".to_owned())?;
    Ok(SlowReaders { clients: count(clients)?, bytes_per_s })
}

/// `10000`, `10k`, `1.5M` or `max`.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let pps = pps(text).map_err(|why| format!("{why}, or max"))?;
    Ok(Rate::Pps(pps))
}

/// `10000`, `10k` or `1.5M`: more than nothing.
pub(crate) fn pps(text: &str) -> Result<f64, String> {
    let expected = "expected packets a second, above 0 and at most 100M, as 10000, 10k or 1.5M";
    let number = with_unit(text, &THOUSANDS, 1.0);
    let number = number.filter(|number| *number > 0.0 && *number <= MOST_PPS);
    number.ok_or_else(|| expected.to_owned())
}

/// `10000` or `10k`: whole and not negative.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    let number = with_unit(text, &THOUSANDS, 1.0);
    let whole = number.filter(|number| number.fract() == 0.0 && (0.0..=1e9).contains(number));
    let whole = whole.map(|number| number as usize);
    whole.ok_or_else(|| "expected a whole number, as 10000 or 10k".to_owned())
}

/// The same within bounds, these included.
pub(crate) fn between<const LEAST: usize, const MOST: usize, T: TryFrom<usize>>(
    text: &str,
) -> Result<T, String> {
    let number = count(text).ok().filter(|number| (LEAST..=MOST).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("expected a whole number from {LEAST} to {MOST}"))
}

/// A time in seconds: `10`, `10s`, `500ms`, `2m`, `1h`.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds = with_unit(text, &TIMES_S, 1.0);
    let seconds = seconds.filter(|seconds| *seconds <= MOST_HOURS * 3_600.0);
    let expected = "expected a time of at most 72h, as 10s, 500ms or 2m; a bare number is seconds";
    seconds.ok_or_else(|| expected.to_owned())
}

/// The same, more than nothing.
pub(crate) fn span(text: &str) -> Result<f64, String> {
    let span = seconds(text)?;
    if span > 0.0 { Ok(span) } else { Err("expected a time above 0".to_owned()) }
}

/// A time in milliseconds: `20`, `20ms`, `1s`.
pub(crate) fn milliseconds(text: &str) -> Result<f64, String> {
    let ms = with_unit(text, &TIMES_S, 1e-3).map(|seconds| seconds * 1e3).filter(|ms| *ms >= 0.0);
    ms.ok_or_else(|| "expected a time, as 20ms or 1s; a bare number is milliseconds".to_owned())
}

/// A share in percent: `1`, `0.5` or `0.5%`.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let percent = with_unit(text, &[("%", 1.0)], 1.0);
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "expected a share from 0 to 100, as 0.5".to_owned())
}

fn with_unit(text: &str, units: &[(&str, f64)], bare: f64) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => bare,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<f64>().ok().map(|number| number * factor).filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(
            ["10", "10k", "1.5M", "0.1G"].map(|text| pps(text).unwrap()),
            [10.0, 1e4, 1.5e6, 1e8]
        );
        assert_eq!((rate("max"), rate("2k")), (Ok(Rate::Max), Ok(Rate::Pps(2e3))));
        assert_eq!((count("1k"), count("12")), (Ok(1_000), Ok(12)));
        assert_eq!(
            ["3", "3s", "500ms", "2m", "1h"].map(|text| seconds(text).unwrap()),
            [3.0, 3.0, 0.5, 120.0, 3_600.0]
        );
        assert_eq!(["20", "20ms", "1s"].map(|text| milliseconds(text).unwrap()), [20.0, 20.0, 1e3]);
        assert_eq!((percent("0.5"), percent("1%")), (Ok(0.5), Ok(1.0)));
    }

    #[test]
    fn slow_readers_have_a_pace() {
        let slow = |clients, bytes_per_s| Ok(SlowReaders { clients, bytes_per_s });
        assert_eq!(slow_readers("3"), slow(3, 12_500.0));
        assert_eq!(slow_readers("1k:20k"), slow(1_000, 20_000.0));
        assert!(slow_readers("3:0").is_err() && slow_readers("x:3").is_err());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "k", "10x", "-1", "1e3", "0", "10 k", "1..2", "nan", "inf", "1G"] {
            assert!(rate(text).is_err() && pps(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "1.5", "9", "99999999999999999999"] {
            assert_eq!(
                between::<1, 8, u32>(text).unwrap_err(),
                "expected a whole number from 1 to 8"
            );
        }
        assert_eq!((between::<1, 8, u32>("8"), between::<1, 5_000, u16>("2k")), (Ok(8), Ok(2_000)));
        assert!(span("0").is_err() && span("73h").is_err() && span("72h") == Ok(259_200.0));
        assert!(count("1.5").is_err() && seconds("-1").is_err() && percent("101").is_err());
    }
}
