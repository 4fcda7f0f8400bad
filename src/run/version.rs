//! `mlt-lite version`: what this program is and what it finds here.

use serde_json::json;

use crate::cli::{self, Exit, Failure};
use crate::net::Features;
use crate::simd::{self, Level};
use crate::wire;

use super::Console;

/// Runs what was typed.
///
/// # Errors
/// If `MLT_LITE_SIMD` asks for a level that cannot be had, or there are no sockets.
pub fn version(typed: &cli::Version, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (level, features) = (Level::detect()?, simd::features());
    let Features { send_segments, receive_segments, send_buffer, receive_buffer } =
        Features::probe()?;
    let version = env!("CARGO_PKG_VERSION");
    if typed.json {
        console.result(json!({
            "version": version,
            "protocol": wire::VERSION,
            "target": target(),
            "features": features,
            "simd": level.to_string(),
            "sockets": {
                "send_segments": send_segments,
                "receive_segments": receive_segments,
                "send_buffer": send_buffer,
                "receive_buffer": receive_buffer,
            },
        }));
        return Ok(Exit::Done);
    }
    let lines = [
        ("protocol", wire::VERSION.to_string()),
        ("target", target()),
        ("processor", features.join(" ")),
        ("kernels", level.to_string()),
        ("send", format!("{send_segments} datagrams at once, {send_buffer} B of buffer")),
        ("receive", format!("{receive_segments} datagrams at once, {receive_buffer} B of buffer")),
    ];
    console.result(format!("mlt-lite {version}"));
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        console.result(format!("{name:<10}{value}"));
    }
    Ok(Exit::Done)
}

/// What the program was built for: `x86_64-linux-musl`.
fn target() -> String {
    let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
    format!("{}-{}{libc}", std::env::consts::ARCH, std::env::consts::OS)
}
