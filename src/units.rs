//! Quantities with their units: what is typed by people is parsed here once and cannot be wrong afterwards.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: nanoseconds since the driver's clock (real or virtual) was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// The start of the clock.
    pub const ZERO: Self = Self { nanos: 0 };

    /// Never.
    pub const MAX: Self = Self { nanos: u64::MAX };

    /// The point `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// The point so long before this one, but not before the start.
    #[must_use]
    pub const fn before(self, duration: Duration) -> Self {
        Self { nanos: self.nanos.saturating_sub(duration.as_nanos() as u64) }
    }

    /// Time since `earlier`, zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self { nanos: self.nanos.saturating_add(nanos) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Text that is not the quantity it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct UnitError {
    text: String,
    expected: &'static str,
}

impl UnitError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.to_owned(), expected }
    }
}

/// A share of a whole in parts per 10,000: exact, so that allowances add up.
///
/// As a *tolerance* it is the fraction of blocks that a transfer may miss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tolerance(u16);

impl Tolerance {
    /// Nothing may be missing.
    pub const ZERO: Self = Self(0);
    /// Parts in a whole.
    pub const WHOLE: u16 = 10_000;

    /// `parts` per 10,000; `None` above the whole.
    #[must_use]
    pub const fn from_parts(parts: u16) -> Option<Self> {
        if parts <= Self::WHOLE { Some(Self(parts)) } else { None }
    }

    /// The sum of both, but not more than the whole.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self((self.0 + other.0).min(Self::WHOLE))
    }

    /// Parts per 10,000.
    #[must_use]
    pub const fn parts(self) -> u16 {
        self.0
    }

    /// The share as a number in `[0, 1]`.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }
}

impl FromStr for Tolerance {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let parts = fraction(text).map(|x| (x * f64::from(Self::WHOLE)).round());
        parts
            .filter(|parts| (0.0..=f64::from(Self::WHOLE)).contains(parts))
            .map(|parts| Self(parts as u16))
            .ok_or_else(|| UnitError::new(text, "a share between 0 and 1, such as `2%` or `0.02`"))
    }
}

/// `2%` or `0.02` as 0.02.
fn fraction(text: &str) -> Option<f64> {
    let text = text.trim();
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
    number.trim_end().parse::<f64>().ok().map(|x| x * unit)
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{whole}%"),
            _ if rest.is_multiple_of(10) => write!(f, "{whole}.{}%", rest / 10),
            _ => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

/// A probability in `[0, 1]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// Never.
    pub const ZERO: Self = Self(0.0);

    /// The probability as a number.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        self.0
    }
}

impl FromStr for Probability {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        fraction(text)
            .filter(|x| (0.0..=1.0).contains(x))
            .map(Self)
            .ok_or_else(|| UnitError::new(text, "a probability, such as `5%` or `0.05`"))
    }
}

/// A data rate in bits per second, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// `bits` per second; `None` for 0.
    #[must_use]
    pub const fn from_bits_per_second(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// Bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }

    /// How long `bytes` take.
    #[must_use]
    pub fn time_for(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "a rate, such as `100mbit` or `1gbit`";
        let lower = text.trim().to_ascii_lowercase();
        let units = [("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3), ("bit", 1.0)];
        units
            .iter()
            .find_map(|(unit, scale)| Some(lower.strip_suffix(unit)?.parse::<f64>().ok()? * scale))
            .filter(|bits| (1.0..=1e15).contains(bits))
            .and_then(|bits| Self::from_bits_per_second(bits as u64))
            .ok_or_else(|| UnitError::new(text, expected))
    }
}

/// A number of bytes: `827k` is 827,000, `64KiB` is 65,536.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "a size, such as `827k`, `21MB` or `64KiB`";
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
        let scale = match lower[digits..].trim() {
            "" | "b" => 1.0,
            "k" | "kb" => 1e3,
            "m" | "mb" => 1e6,
            "g" | "gb" => 1e9,
            "kib" => 1024.0,
            "mib" => 1024.0 * 1024.0,
            "gib" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(UnitError::new(text, expected)),
        };
        lower[..digits]
            .parse::<f64>()
            .ok()
            .map(|x| x * scale)
            .filter(|bytes| (0.0..=1e15).contains(bytes))
            .map(|bytes| Self(bytes.round() as u64))
            .ok_or_else(|| UnitError::new(text, expected))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 10_000_000_000 => write!(f, "{:.1} GB", n as f64 / 1e9),
            n if n >= 10_000_000 => write!(f, "{:.1} MB", n as f64 / 1e6),
            n if n >= 10_000 => write!(f, "{:.1} kB", n as f64 / 1e3),
            n => write!(f, "{n} B"),
        }
    }
}

/// A duration as people type it: `250us`, `2ms`, `1.5s`.
///
/// # Errors
/// If the text is not a number with one of the units `ns us ms s`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let lower = text.trim().to_ascii_lowercase();
    let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    units
        .iter()
        .find_map(|(unit, scale)| Some(lower.strip_suffix(unit)?.parse::<f64>().ok()? * scale))
        .filter(|nanos| (0.0..=1e15).contains(nanos))
        .map(|nanos| Duration::from_nanos(nanos.round() as u64))
        .ok_or_else(|| UnitError::new(text, "a duration, such as `250us`, `2ms` or `1.5s`"))
}

/// A duration in the largest unit that leaves no fraction, as [`parse_duration`] reads it.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    scaled(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), &units, "ns")
}

/// `number` in the first of `units` (largest first, with their sizes) that leaves no fraction, else in the `smallest`.
#[must_use]
pub fn scaled(number: u64, units: &[(u64, &str)], smallest: &str) -> String {
    let exact = units.iter().find(|(size, _)| number.is_multiple_of(*size));
    let (size, unit) = exact.copied().unwrap_or((1, smallest));
    format!("{}{unit}", number / size)
}

impl Serialize for Tolerance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerance_reads_and_prints() {
        for (text, parts, printed) in [
            ("0", 0, "0%"),
            ("2%", 200, "2%"),
            ("0.02", 200, "2%"),
            ("0.5%", 50, "0.5%"),
            ("0.25 %", 25, "0.25%"),
            ("1.05%", 105, "1.05%"),
            ("100%", 10_000, "100%"),
            ("1", 10_000, "100%"),
        ] {
            let tolerance: Tolerance = text.parse().unwrap();
            assert_eq!((tolerance.parts(), tolerance.to_string().as_str()), (parts, printed));
        }
        for parts in 0..=Tolerance::WHOLE {
            let tolerance = Tolerance::from_parts(parts).unwrap();
            assert_eq!(tolerance.to_string().parse(), Ok(tolerance));
        }
        for text in ["", "x", "-1%", "101%", "1.01", "nan", "inf", "2%%"] {
            assert!(text.parse::<Tolerance>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_rates_durations_read() {
        assert_eq!("827k".parse(), Ok(ByteSize(827_000)));
        assert_eq!("0.83MB".parse(), Ok(ByteSize(830_000)));
        assert_eq!("64KiB".parse(), Ok(ByteSize(65_536)));
        assert_eq!("12".parse(), Ok(ByteSize(12)));
        assert!("12 parsecs".parse::<ByteSize>().is_err());
        let rate: Rate = "100mbit".parse().unwrap();
        assert_eq!(rate.time_for(1250), Duration::from_micros(100));
        assert!("0mbit".parse::<Rate>().is_err() && "fast".parse::<Rate>().is_err());
        assert_eq!(parse_duration("1.5ms"), Ok(Duration::from_micros(1500)));
        assert!(parse_duration("5").is_err() && parse_duration("-5ms").is_err());
    }

    #[test]
    fn instants_do_not_wrap() {
        let late = Instant::from_nanos(u64::MAX);
        assert_eq!(late + Duration::from_secs(1), late);
        assert_eq!(Instant::ZERO - late, Duration::ZERO);
    }
}
