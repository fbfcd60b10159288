//! Amounts as people type and read them: `2MiB`, `500k`, `1.5s`.

use std::time::Duration;

/// A decimal number and the unit after it.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    // Digits and dots only, so neither a sign nor `inf` nor `nan`.
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

/// Bytes, at least one: `k`, `M`, `G` and `KiB`, `MiB`, `GiB` are powers of 1024; `kB`, `MB`, `GB` of 1000.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let help = "expected an amount such as 500k, 2MiB or 10MB";
    let (number, unit) = split(text).ok_or(help)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => return Err(help.into()),
    };
    let bytes = number * factor;
    // Beyond 2^53 a double no longer counts single bytes, and no network is as fast.
    if (1.0..=9e15).contains(&bytes) { Ok(bytes as u64) } else { Err("out of range".into()) }
}

/// A duration from a millisecond to a day: `500ms`, `30s`, `2m`, `1h`; a bare number means seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let help = "expected a duration such as 500ms, 30s or 2m";
    let (number, unit) = split(text).ok_or(help)?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(help.into()),
    };
    if (0.001..=86400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("out of range: 1ms to 24h".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_usual_units() {
        for (text, bytes) in
            [("1", 1), ("500k", 512_000), ("2MiB", 2 << 20), ("1.5 G", 3 << 29), ("10MB", 10_000_000), ("7b", 7)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "0", "0.1", "-1", "+1", "1e9", "inf", "nan", "1.2.3", "5x", "99999999999G", "1\u{661}"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_the_usual_units() {
        for (text, ms) in [("500ms", 500), ("30", 30_000), ("1.5s", 1500), ("2m", 120_000), ("24h", 86_400_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "0", "-1s", "25h", "1d", "0.1ms"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
