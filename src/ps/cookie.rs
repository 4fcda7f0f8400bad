//! Proof that a worker receives at the address it sends from, without remembering anything about it.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};

use crate::ids::SessionId;

/// The server's secret; new at each start.
#[derive(Clone, Debug)]
pub struct Cookies {
    secret: u64,
}

impl Cookies {
    pub const fn new(secret: u64) -> Self {
        Self { secret }
    }

    /// What a worker at `address` must send back to open `session`; never 0, which says that it has none yet.
    pub fn of(&self, address: SocketAddr, session: SessionId) -> u64 {
        let digest = Sha256::new()
            .chain_update(self.secret.to_le_bytes())
            .chain_update(session.0.to_le_bytes())
            .chain_update(address.to_string())
            .finalize();
        let first = digest.first_chunk().expect("SHA-256 gives 32 bytes");
        u64::from_le_bytes(*first) | 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_one_address_and_session() {
        let cookies = Cookies::new(7);
        let of = |address: &str, session| cookies.of(address.parse().unwrap(), SessionId(session));
        assert_eq!(of("10.0.0.1:5", 1), of("10.0.0.1:5", 1));
        assert_ne!(of("10.0.0.1:5", 1), of("10.0.0.1:6", 1));
        assert_ne!(of("10.0.0.1:5", 1), of("10.0.0.1:5", 2));
        let other = Cookies::new(8).of("10.0.0.1:5".parse().unwrap(), SessionId(1));
        assert_ne!(of("10.0.0.1:5", 1), other);
    }
}
