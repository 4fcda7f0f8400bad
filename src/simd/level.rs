//! Which instructions this processor has, and which ones we were told to use.

use std::fmt;

/// A set of vector instructions, ordered from the slowest to the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the target has.
    Scalar,
    /// NEON, which every 64-bit ARM processor has.
    Neon,
    /// AVX2 with fused multiply-add, and F16C.
    Avx2,
    /// AVX-512 (F, BW, DQ, VL).
    Avx512,
}

/// The environment variable that forces a level.
const VARIABLE: &str = "MLT_LITE_SIMD";

/// A level that was asked for and cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// No level has that name.
    #[error("MLT_LITE_SIMD={0}: no such level; known are scalar, neon, avx2 and avx512")]
    Unknown(String),
    /// This processor has not got it.
    #[error("MLT_LITE_SIMD={asked}: this processor only has {}", list(.available))]
    Unavailable {
        /// The level that was asked for.
        asked: Level,
        /// What could be had instead.
        available: Vec<Level>,
    },
}

/// Of the tables that each level has in a module, that of this level, if this processor has got it.
macro_rules! of_level {
    ($level:ident) => {{
        $level.check()?;
        Ok(match $level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &AVX512,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &AVX2,
            #[cfg(target_arch = "aarch64")]
            Level::Neon => &NEON,
            _ => &SCALAR,
        })
    }};
}
pub(super) use of_level;

fn list(levels: &[Level]) -> String {
    levels.iter().map(Level::to_string).collect::<Vec<_>>().join(", ")
}

impl Level {
    /// All levels, slowest first.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512];

    /// The fastest level of this processor, or the one that `MLT_LITE_SIMD` forces.
    ///
    /// # Errors
    /// If the variable names an unknown level or one that this processor has not got.
    pub fn detect() -> Result<Self, LevelError> {
        let forced = std::env::var_os(VARIABLE);
        Self::choose(forced.map(|name| name.to_string_lossy().into_owned()).as_deref())
    }

    /// The level called `forced`, or the fastest one.
    fn choose(forced: Option<&str>) -> Result<Self, LevelError> {
        let available: Vec<_> =
            Self::ALL.into_iter().filter(|level| level.is_available()).collect();
        let Some(name) = forced else {
            return Ok(available.into_iter().max().unwrap_or(Self::Scalar));
        };
        let asked = Self::ALL.into_iter().find(|level| level.to_string() == name);
        match asked {
            Some(level) if level.is_available() => Ok(level),
            Some(asked) => Err(LevelError::Unavailable { asked, available }),
            None => Err(LevelError::Unknown(name.to_owned())),
        }
    }

    /// Nothing, if this processor has the level.
    ///
    /// # Errors
    /// If not: what it has.
    pub(super) fn check(self) -> Result<(), LevelError> {
        if self.is_available() {
            return Ok(());
        }
        let available = Self::ALL.into_iter().filter(|level| level.is_available()).collect();
        Err(LevelError::Unavailable { asked: self, available })
    }

    /// Whether this processor (and its operating system) has the instructions.
    #[must_use]
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Scalar => true,
            Self::Neon => false,
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
        #[cfg(target_arch = "aarch64")]
        match self {
            Self::Scalar => true,
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Avx2 | Self::Avx512 => false,
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        matches!(self, Self::Scalar)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

/// The vector instructions of this processor that kernels use, or might.
#[must_use]
pub fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512dq", is_x86_feature_detected!("avx512dq")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
    ];
    #[cfg(target_arch = "aarch64")]
    let known = [("neon", std::arch::is_aarch64_feature_detected!("neon"))];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let known: [(&str, bool); 0] = [];
    known.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_level_is_chosen_unless_another_is_forced() {
        assert!(Level::choose(None).unwrap().is_available());
        assert_eq!(Level::choose(Some("scalar")), Ok(Level::Scalar));
        for level in Level::ALL {
            match Level::choose(Some(&level.to_string())) {
                Ok(chosen) => assert!(chosen == level && level.is_available()),
                Err(_) => assert!(!level.is_available()),
            }
        }
    }

    #[test]
    fn refusals_say_what_there_is() {
        let unknown = Level::choose(Some("mmx")).unwrap_err();
        insta::assert_snapshot!(unknown, @"MLT_LITE_SIMD=mmx: no such level; known are scalar, neon, avx2 and avx512");
        let unavailable = LevelError::Unavailable {
            asked: Level::Avx512,
            available: vec![Level::Scalar, Level::Avx2],
        };
        insta::assert_snapshot!(unavailable, @"MLT_LITE_SIMD=avx512: this processor only has scalar, avx2");
    }
}
