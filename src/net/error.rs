//! What can go wrong between us and the operating system.

use std::io;
use std::net::SocketAddr;

/// A network that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {}", advice(source))]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A name has no address.
    #[error("cannot find `{host}`: check the name, or give an address such as 10.0.0.5:4433")]
    Resolve {
        /// What was looked up.
        host: String,
        /// Why it was not found.
        source: io::Error,
    },
    /// The kernel has not got a congestion control, or not for us.
    #[error("cannot use the congestion control `{control}`: this system offers {names} ({list})")]
    Control {
        /// Its name.
        control: String,
        /// What there is.
        names: String,
        /// Where that is written.
        list: &'static str,
    },
    /// A socket does not work.
    #[error("the socket failed")]
    Socket(#[from] io::Error),
    /// There is no source of chance.
    #[error("the operating system gives no random numbers: {0}")]
    Entropy(String),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken; stop what listens there, or choose another with --bind"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `0.0.0.0` is all it has"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 belong to root; choose a higher one with --bind"
        }
        _ => "the system refuses it",
    }
}
