//! `mlt-lite version`: what this program is and what it finds here.

use serde_json::{Map, Value, json};

use crate::cli::{self, Exit, Failure};
use crate::simd::{self, Level};
use crate::wire;

use super::Console;

/// Runs what was typed. `sockets` are features of the sockets and their values.
///
/// # Errors
/// If `MLT_LITE_SIMD` asks for a level that cannot be had.
pub fn version(
    typed: &cli::Version,
    sockets: &[(&str, String)],
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let (level, features) = (Level::detect()?, simd::features());
    let version = env!("CARGO_PKG_VERSION");
    if typed.json {
        let sockets = sockets.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        console.result(json!({
            "version": version,
            "protocol": wire::VERSION,
            "target": target(),
            "features": features,
            "simd": level.to_string(),
            "sockets": Value::Object(sockets.collect::<Map<_, _>>()),
        }));
        return Ok(Exit::Done);
    }
    let lines = [
        ("protocol", wire::VERSION.to_string()),
        ("target", target()),
        ("processor", features.join(" ")),
        ("kernels", level.to_string()),
    ];
    console.result(format!("mlt-lite {version}"));
    let lines = lines.iter().chain(sockets);
    for (name, value) in lines.filter(|(_, value)| !value.is_empty()) {
        console.result(format!("{name:<10}{value}"));
    }
    Ok(Exit::Done)
}

/// What the program was built for: `x86_64-linux-musl`.
fn target() -> String {
    let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
    format!("{}-{}{libc}", std::env::consts::ARCH, std::env::consts::OS)
}
