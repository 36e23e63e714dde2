//! Where a program would open its inspector: as it was started, or where node does by itself.

use std::{fs, net::IpAddr};

/// Where node opens it by itself (`DebugOptions::host_port`, `src/node_options.h`).
const HOST: &str = "127.0.0.1";
const PORT: u16 = 9229;

/// Options that say where, in node's documentation of its command line.
const OPTIONS: [&str; 5] = [
    "--inspect",
    "--inspect-brk",
    "--inspect-wait",
    "--inspect-port",
    "--debug-port",
];

/// Those whose value may be the next argument.
const WITH_VALUE: [&str; 2] = ["--inspect-port", "--debug-port"];

/// An address that it would listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Planned {
    /// A name or an address.
    pub(super) host: String,
    /// 0 where the system chooses.
    pub(super) port: u16,
}

impl Planned {
    /// Of a process, by its arguments and its environment; where it has overwritten them, it is where node does by itself.
    pub(super) fn of(pid: u32) -> Self {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let environment = read("environ");
        let options = environment
            .split(|&byte| byte == 0)
            .find_map(|variable| variable.strip_prefix(b"NODE_OPTIONS="));
        let options = String::from_utf8_lossy(options.unwrap_or_default()).into_owned();
        let arguments = String::from_utf8_lossy(&read("cmdline")).into_owned();
        // Arguments come after the variable, and win.
        let all: Vec<_> = options
            .split_whitespace()
            .chain(arguments.split('\0').skip(1))
            .collect();
        Self::parse(&all)
    }

    fn parse(arguments: &[&str]) -> Self {
        let mut found = Self {
            host: HOST.to_owned(),
            port: PORT,
        };
        let mut arguments = arguments.iter().copied().peekable();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None if WITH_VALUE.contains(&argument) => (argument, arguments.peek().copied()),
                None => (argument, None),
            };
            if let Some(value) = value.filter(|_| OPTIONS.contains(&name)) {
                found.take(value);
            }
        }
        found
    }

    /// `[host:]port` or `host`, as node reads it: what is not given stays as it is.
    fn take(&mut self, value: &str) {
        let (host, port) = match value.rsplit_once(':') {
            // An IPv6 address has brackets, unless it stands alone.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
            None if value.parse::<u16>().is_ok() => ("", value),
            _ => (value, ""),
        };
        if !host.is_empty() {
            host.trim_matches(['[', ']']).clone_into(&mut self.host);
        }
        if let Ok(port) = port.parse() {
            self.port = port;
        }
    }

    /// Whether only this machine reaches it. What a name means there is not known, but for one.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(arguments: &[&str]) -> (String, u16, bool) {
        let found = Planned::parse(arguments);
        let is_loopback = found.is_loopback();
        (found.host, found.port, is_loopback)
    }

    #[test]
    fn arguments_say_where() {
        let here = |port| (HOST.to_owned(), port, true);
        for (arguments, wanted) in [
            (&["app.js"][..], here(9229)),
            (&["--inspect-port=9333", "app.js"], here(9333)),
            (&["--inspect-port", "9333", "app.js"], here(9333)),
            (&["--debug-port=0"], here(0)),
            (&["--inspect"], here(9229)),
            (&["--inspect=1", "--inspect-port=127.0.0.1:2"], here(2)),
            (&["--inspect-port=localhost:5"], ("localhost".into(), 5, true)),
            (&["--inspect-port=[::1]:5"], ("::1".into(), 5, true)),
            (&["--inspect-port=::1"], ("::1".into(), 9229, true)),
            (&["--inspect-port=0.0.0.0"], ("0.0.0.0".into(), 9229, false)),
            (&["--inspect=0.0.0.0:7"], ("0.0.0.0".into(), 7, false)),
            (&["--inspect=host:7"], ("host".into(), 7, false)),
            (&["--inspect=host:99999"], ("host".into(), 9229, false)),
            (&["--other=5", "--inspector=5"], here(9229)),
        ] {
            assert_eq!(planned(arguments), wanted, "{arguments:?}");
        }
    }
}
