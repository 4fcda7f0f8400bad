//! Closed sets of choices that people type by name.

/// Text that names none of the choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{text}`: choose one of {known}")]
pub struct UnknownName {
    /// What was to be chosen.
    pub what: &'static str,
    /// What was typed.
    pub text: String,
    /// The choices, separated by commas.
    pub known: String,
}

/// Implements `FromStr`, `Display`, `Serialize` and `Deserialize` for an enum of plain names.
#[macro_export]
macro_rules! named {
    ($type:ty, $what:literal, { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every choice with its name.
            pub const NAMES: &[(&str, Self)] = &[$(($name, Self::$variant)),+];
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $name),+ })
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::named::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::named::UnknownName {
                        what: $what,
                        text: text.to_owned(),
                        known: [$($name),+].join(", "),
                    }),
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
