//! Connections to what listens in a process: from inside its network namespace, which may be another than ours.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long a connection, a question of HTTP and the handshake of the protocol may take. A thread of node's own answers, also while
/// the program is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer: node's have less than a kilobyte.
const MOST_BYTES: usize = 64 << 10;

/// Most headers of an answer: node's have three.
const MOST_HEADERS: usize = 32;

/// Where to connect to what listens on an address: to the same machine, also where it listens on all of its addresses.
pub(super) fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

/// Connects as the process would connect to itself.
pub(super) fn connect(pid: u32, address: SocketAddr) -> io::Result<TcpStream> {
    let path = format!("/proc/{pid}/ns/net");
    let (theirs, ours) = (fs::metadata(&path)?, fs::metadata("/proc/thread-self/ns/net")?);
    let stream = if (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()) {
        TcpStream::connect_timeout(&address, PATIENCE)?
    } else {
        let namespace = File::open(path)?;
        // A thread of its own: it stays in that namespace until its end, and so does the connection.
        let connected = thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|error| {
                io::Error::other(format!(
                    "failed to enter its network namespace (that takes CAP_SYS_ADMIN): {error}"
                ))
            })?;
            TcpStream::connect_timeout(&address, PATIENCE)
        });
        connected
            .join()
            .map_err(|_panic| io::Error::other("the thread that connects has ended"))??
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks for a page, and gives its content.
pub(super) fn get(mut stream: TcpStream, path: &str) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("it did not answer GET {path}: {error}");
    let host = stream.peer_addr().map_err(failed)?;
    let question = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).map_err(failed)?;
    let begun = Instant::now();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(content) = content(&answer)? {
            return Ok(content);
        }
        if answer.len() > MOST_BYTES || begun.elapsed() > PATIENCE {
            return Err(format!("its answer to GET {path} has no end"));
        }
        match stream.read(&mut piece).map_err(failed)? {
            0 => return Err(format!("it closed the connection on GET {path}")),
            count => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
}

/// The content of an answer once it is whole.
fn content(answer: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let begins = match response.parse(answer) {
        Ok(httparse::Status::Complete(begins)) => begins,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("it does not speak HTTP ({error})")),
    };
    if response.code != Some(200) {
        return Err(format!("it answers with HTTP status {}", response.code.unwrap_or(0)));
    }
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    let Some(length) = length.filter(|&length| length <= MOST_BYTES) else {
        return Err("it does not say how long its answer is, as an inspector does".to_owned());
    };
    Ok(answer.get(begins..begins + length).map(<[u8]>::to_vec))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What is made of an answer.
    fn asked(answer: &'static [u8]) -> Result<Vec<u8>, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 1024];
            let read = stream.read(&mut question).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&question[..read]).into_owned()
        });
        let found = get(connect(std::process::id(), address).unwrap(), "/json/list");
        let question = server.join().unwrap();
        assert!(question.starts_with("GET /json/list HTTP/1.1\r\n"), "{question}");
        assert!(question.contains(&format!("Host: {address}\r\n")), "{question}");
        found
    }

    #[test]
    fn an_answer_is_read_to_its_end_and_no_further() {
        assert_eq!(
            asked(b"HTTP/1.0 200 OK\r\nContent-Type: a\r\nContent-Length: 4\r\n\r\n[{}]more").unwrap(),
            b"[{}]"
        );
        for (answer, wanted) in [
            (
                &b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..],
                "status 404",
            ),
            (b"HTTP/1.0 200 OK\r\n\r\nendless", "how long"),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "how long"),
            (
                b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nshort",
                "closed the connection",
            ),
            (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        ] {
            let found = asked(answer).unwrap_err();
            assert!(found.contains(wanted), "{found}");
        }
    }

    #[test]
    fn all_addresses_of_a_machine_are_reached_on_itself() {
        for (listens, wanted) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("127.0.0.2:1", "127.0.0.2:1"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), wanted);
        }
    }
}
