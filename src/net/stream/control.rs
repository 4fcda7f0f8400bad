//! The kernel's congestion control.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use rustix::net::sockopt;

use crate::net::NetError;
use crate::transport::Control;

/// Where Linux lists what it has, and what others than root may use of it.
const AVAILABLE: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// Makes a socket use it.
pub(super) fn set(socket: impl AsFd, control: Option<&Control>) -> Result<(), NetError> {
    let Some(control) = control else { return Ok(()) };
    let Err(error) = sockopt::set_tcp_congestion(socket, control.name()) else { return Ok(()) };
    let error = io::Error::from(error);
    let list = match error.kind() {
        io::ErrorKind::NotFound => AVAILABLE,
        io::ErrorKind::PermissionDenied => ALLOWED,
        _ => return Err(error.into()),
    };
    let names = fs::read_to_string(list).unwrap_or_default();
    let names = names.split_whitespace().collect::<Vec<_>>().join(", ");
    Err(NetError::Control { control: control.name().to_owned(), names, list })
}
