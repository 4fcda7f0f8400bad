//! Where a server may listen.

use std::net::{SocketAddr, ToSocketAddrs};

/// Where a server listens that is not told otherwise.
pub const DEFAULT_BIND: &str = "127.0.0.1:4433";

/// An address that a server does not listen at.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It is none.
    #[error("--bind {text}: not an address such as `{DEFAULT_BIND}` or `0.0.0.0:4433`")]
    Address {
        /// What was typed.
        text: String,
        /// Why it is none.
        source: std::io::Error,
    },
    /// Other machines could reach it.
    #[error(
        "--bind {0}: any machine that reaches this address could join the run and change the model, for there are \
         no keys yet. Add --insecure if the network is trusted, or bind a loopback address such as `{DEFAULT_BIND}`"
    )]
    Exposed(SocketAddr),
}

/// The address that `text` names (`HOST:PORT`; port 0 is any free port), which only an `insecure` server may share
/// with other machines.
///
/// # Errors
/// If it names none, or one that other machines reach without `insecure`.
pub fn bind_address(text: &str, insecure: bool) -> Result<SocketAddr, BindError> {
    let none = |source| BindError::Address { text: text.to_owned(), source };
    let nothing = || std::io::Error::other("the name has no address");
    let address = text.to_socket_addrs().map_err(none)?.next();
    let address = address.ok_or_else(nothing).map_err(none)?;
    if insecure || address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(BindError::Exposed(address))
    }
}

/// The address of a server as it was typed, `HOST:PORT`. Whether there is such a host is found out later.
///
/// # Errors
/// If it has no host, or no port from 1 to 65535.
pub(super) fn server_address(text: &str) -> Result<String, String> {
    let wrong =
        || format!("expected HOST:PORT with a port from 1 to 65535, such as `{DEFAULT_BIND}`");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    // Colons of an address of IPv6 stand in brackets.
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = !bare.unwrap_or(host).is_empty() && (bare.is_some() || !host.contains(':'));
    let numbered = port.parse::<u16>().is_ok_and(|port| port > 0);
    if named && numbered { Ok(text.to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_host_and_a_port() {
        for text in ["localhost:4433", "10.0.0.5:1", "[::1]:65535", "no.such.host.invalid:4433"] {
            assert_eq!(server_address(text).as_deref(), Ok(text));
        }
        for text in ["", "localhost", ":4433", "::1:4433", "[]:1", "host:0", "host:65536", "host:x"]
        {
            assert!(server_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_insecure_leave_loopback() {
        assert!(bind_address("127.0.0.1:0", false).is_ok());
        assert!(bind_address("[::1]:4433", false).is_ok());
        assert!(bind_address("0.0.0.0:4433", true).is_ok());
        let exposed = bind_address("0.0.0.0:4433", false).unwrap_err().to_string();
        assert!(exposed.contains("--insecure") && exposed.contains("no keys yet"), "{exposed}");
        for text in ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"] {
            assert!(matches!(bind_address(text, true), Err(BindError::Address { .. })), "{text}");
        }
    }
}
