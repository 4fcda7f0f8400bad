//! `mlt-lite version`: what this program is and what it finds here.

use serde_json::json;

use crate::cli::{self, Exit, Failure};
use crate::net::Features;
use crate::simd::{self, Level};
use crate::units::ByteSize;
use crate::wire;

use super::Console;

/// Runs what was typed.
///
/// # Errors
/// If `MLT_LITE_SIMD` asks for a level that cannot be had, or there are no sockets.
pub fn version(typed: &cli::Version, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (level, features, sockets) = (Level::detect()?, simd::features(), Features::probe()?);
    let version = env!("CARGO_PKG_VERSION");
    if typed.json {
        console.result(json!({
            "version": version,
            "protocol": wire::VERSION,
            "target": target(),
            "features": features,
            "simd": level.to_string(),
            "sockets": sockets,
        }));
        return Ok(Exit::Done);
    }
    let lines = [
        ("protocol", wire::VERSION.to_string()),
        ("target", target()),
        ("processor", features.join(" ")),
        ("kernels", level.to_string()),
        ("sockets", describe(sockets)),
    ];
    console.result(format!("mlt-lite {version}"));
    for (name, value) in lines {
        console.result(format!("{name:<10}{value}"));
    }
    Ok(Exit::Done)
}

fn describe(sockets: Features) -> String {
    let Features { send_segments, receive_segments, send_buffer, receive_buffer } = sockets;
    let [send, receive] = [send_buffer, receive_buffer].map(|bytes| ByteSize(bytes as u64));
    format!(
        "{send_segments} datagrams to a send, {receive_segments} to a receive; buffers of {send} and {receive}"
    )
}

/// What the program was built for: `x86_64-linux-musl`.
fn target() -> String {
    let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
    format!("{}-{}{libc}", std::env::consts::ARCH, std::env::consts::OS)
}
