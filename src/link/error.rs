//! Why a text describes no network.

use super::NetSpec;
use crate::nearest::nearest;

/// Text that describes no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Not of the form `key=value`.
    #[error("`{0}` is not of the form `key=value`, such as `loss=5%`")]
    NoValue(String),
    /// No such key.
    #[error(
        "`{0}` is not a network condition{hint} (known: {known})",
        hint = hint(.0),
        known = NetSpec::KEYS.join(", ")
    )]
    UnknownKey(String),
    /// A key given twice for the same workers.
    #[error("`{0}` is given twice for the same workers")]
    Twice(&'static str),
    /// A value that the key cannot have.
    #[error("`{key}={value}`: expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was written.
        value: String,
        /// What may be written.
        expected: &'static str,
    },
    /// A clause for something that is neither a worker nor the server.
    #[error(
        "`{0}:` is neither `server` nor a worker; workers are counted from 1, as in `2:loss=90%`"
    )]
    Worker(String),
    /// A queue at a link that never makes anything wait.
    #[error("`queue` without `rate` has no effect: give both or neither")]
    QueueWithoutRate,
}

fn hint(key: &str) -> String {
    if key.contains(':') {
        return "; what is for one worker begins after a `;`".to_owned();
    }
    nearest(key, NetSpec::KEYS)
        .map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}
