//! Sockets that wait for connections: those of a process, and those of its network namespace.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use crate::process::processes;

/// State of a socket that waits for connections, as `/proc/net/tcp` shows it (`TCP_LISTEN`, `include/net/tcp_states.h`).
const LISTEN: &str = "0A";

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    /// Of the socket: no two on the machine have the same.
    pub(super) inode: u64,
}

/// All of the network namespace that a process is in.
pub(super) fn in_namespace(pid: u32) -> io::Result<Vec<Listener>> {
    let mut all = parse(&fs::read_to_string(format!("/proc/{pid}/net/tcp"))?);
    // There is none where IPv6 is switched off.
    if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/net/tcp6")) {
        all.extend(parse(&text));
    }
    Ok(all)
}

/// Those that a process has.
pub(super) fn of_process(pid: u32) -> io::Result<Vec<Listener>> {
    let all = in_namespace(pid)?;
    if all.is_empty() {
        return Ok(all);
    }
    let own = sockets(pid)?;
    Ok(all
        .into_iter()
        .filter(|listener| own.contains(&listener.inode))
        .collect())
}

/// Whether a process still has it.
pub(super) fn is_there(pid: u32, listener: Listener) -> bool {
    in_namespace(pid).is_ok_and(|all| all.contains(&listener))
}

/// Who has a socket, in words.
pub(super) fn owner(listener: Listener) -> String {
    let has_it = |&pid: &u32| sockets(pid).is_ok_and(|own| own.contains(&listener.inode));
    match processes().into_iter().find(has_it) {
        Some(pid) => {
            let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("process {pid} ({})", String::from_utf8_lossy(&name).trim_end())
        }
        None => "a process that is not to be seen from here".to_owned(),
    }
}

/// Inodes of the sockets that a process has open.
fn sockets(pid: u32) -> io::Result<Vec<u64>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
    Ok(entries.filter_map(|entry| socket(&entry.path())).collect())
}

fn socket(descriptor: &Path) -> Option<u64> {
    let link = fs::read_link(descriptor).ok()?;
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Lines of `/proc/net/tcp` and `/proc/net/tcp6` (`proc_net_tcp` of the kernel's documentation).
fn parse(text: &str) -> Vec<Listener> {
    let listener = |line: &str| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        (state == LISTEN).then_some(Listener {
            address: address(local)?,
            inode,
        })
    };
    text.lines().filter_map(listener).collect()
}

/// `0100007F:240D`: the address in words of the machine's byte order, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_own_listener_is_found_with_its_owner() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = TcpListener::bind(address) else {
                continue;
            };
            let wanted = socket.local_addr().unwrap();
            let pid = std::process::id();
            let found = of_process(pid).unwrap();
            let found = *found.iter().find(|listener| listener.address == wanted).unwrap();
            assert!(is_there(pid, found));
            assert!(
                owner(found).starts_with(&format!("process {pid} (")),
                "{}",
                owner(found)
            );
            drop(socket);
            assert!(!is_there(pid, found));
        }
    }

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             \x20  0: 0100007F:240D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0\n\
             \x20  1: 0100007F:240D 0100007F:9C40 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0\n\
             \x20  2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 12 1\n\
             \x20  3: junk:24 0 0A 0 0 0 0 0 0 1\n";
        let found = parse(text);
        assert_eq!(
            found
                .iter()
                .map(|listener| (listener.address.to_string(), listener.inode))
                .collect::<Vec<_>>(),
            [("127.0.0.1:9229".to_owned(), 4711), ("[::1]:80".to_owned(), 12)]
        );
    }
}
