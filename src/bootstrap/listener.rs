//! The API's address: taken before anything else is started, so that a second start ends with nothing half done.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::failure::{Exit, Failure};

/// Takes the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| explain(address, error))
}

/// Why an address cannot be taken.
pub fn explain(address: SocketAddr, error: io::Error) -> Failure {
    let failure = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let message = format!("something else listens on {address}");
            Failure::new("LISTEN_ADDRESS_IN_USE", Exit::Unavailable, message)
                .hint("stop it, or choose another address: --listen 127.0.0.1:9000")
        }
        io::ErrorKind::PermissionDenied => {
            let message = format!("this user may not listen on {address}");
            Failure::new("LISTEN_NOT_PERMITTED", Exit::NoPermission, message)
                .hint("choose a port from 1024 on: --listen 127.0.0.1:8080")
        }
        _ => Failure::new("LISTEN_FAILED", Exit::Unavailable, format!("{address} cannot be listened on"))
            .hint("choose an address of this machine: --listen 127.0.0.1:8080"),
    };
    failure.caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn address_in_use_is_told_as_such() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let taken = first.local_addr().expect("it has an address");
        let failure = bind(taken).await.expect_err("it is taken");
        assert_eq!((failure.code, failure.exit), ("LISTEN_ADDRESS_IN_USE", Exit::Unavailable));
        assert!(failure.message.contains(&taken.to_string()));
    }
}
