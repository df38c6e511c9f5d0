//! Connections to a database send at once. The driver leaves Nagle's algorithm on (RFC 896): the last piece of a statement
//! that is longer than one segment then waits for the server's delayed acknowledgement (RFC 1122, 4.2.3.2), 40 ms on Linux,
//! and with it all who share the statement's transaction. The driver gives no access to its sockets, so they are found
//! among those of the process, by the port that they are connected to.

/// Has each TCP connection of this process to `port` send at once.
#[cfg(unix)]
pub(super) fn send_at_once(port: u16) {
    use std::os::fd::{BorrowedFd, RawFd};

    use rustix::net::{getpeername, sockopt};

    let Ok(entries) = std::fs::read_dir("/dev/fd") else { return };
    let numbers: Vec<RawFd> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for number in numbers {
        #[expect(unsafe_code, reason = "the driver owns its sockets and shows none of them")]
        // SAFETY: nothing but these calls uses it, and none of them closes it. If it is closed or used for something else
        // meanwhile, they fail, or have another connection send at once.
        let socket = unsafe { BorrowedFd::borrow_raw(number) };
        let peer = getpeername(socket).ok().flatten().and_then(|peer| peer.try_into().ok());
        if peer.is_some_and(|peer: std::net::SocketAddr| peer.port() == port)
            && sockopt::tcp_nodelay(socket) == Ok(false)
        {
            let _ = sockopt::set_tcp_nodelay(socket, true);
        }
    }
}

#[cfg(not(unix))]
pub(super) fn send_at_once(_: u16) {}
