//! Which module may name what.
//!
//! Each rule is about paths of Rust (`std::fs`, `aya`, `crate::session`): it says where they may be named, or
//! where they may not. Tests are free of the rules: what follows `#[cfg(test)]` and a module is not looked at.

use super::source::{self, Named};

/// A rule.
struct Rule {
    /// Where it holds: beginnings of file names.
    within: &'static [&'static str],
    /// Exceptions to that.
    except: &'static [&'static str],
    /// What must not be named there.
    forbidden: &'static [&'static str],
    /// The reason, as the end of a sentence.
    because: &'static str,
}

/// All modules that turn something into something without touching the world.
const PURE: [&str; 7] = [
    "memtrace/src/plan/",
    "memtrace/src/decode/",
    "memtrace/src/heap_snapshot/",
    "memtrace/src/ledger/",
    "memtrace/src/resident/",
    "memtrace/src/profile/",
    "memtrace/src/render/",
];

const RULES: &[Rule] = &[
    Rule {
        within: &["memtrace/src/"],
        except: &["memtrace/src/probe/"],
        forbidden: &["aya", "aya_log", "aya_obj"],
        because: "only probe/ names aya",
    },
    Rule {
        within: &["memtrace/src/"],
        except: &["memtrace/src/symbolize/"],
        forbidden: &["blazesym"],
        because: "only symbolize/ names blazesym",
    },
    Rule {
        within: &["memtrace/src/"],
        except: &["memtrace/src/unwind/", "memtrace/src/symbolize/bounds.rs"],
        forbidden: &["gimli"],
        because: "only unwind/ and symbolize/bounds.rs name gimli",
    },
    Rule {
        within: &["memtrace/src/"],
        except: &["memtrace/src/cli/", "memtrace/src/main.rs"],
        forbidden: &["clap", "clap_complete", "clap_mangen"],
        because: "only cli/ names clap",
    },
    Rule {
        within: &["memtrace/src/"],
        except: &["memtrace/src/render/flame"],
        forbidden: &["inferno"],
        because: "only render/flamegraph names inferno",
    },
    Rule {
        within: &["memtrace/src/"],
        except: &["memtrace/src/render/export/"],
        forbidden: &["csv", "prost"],
        because: "only render/export/ names csv and prost",
    },
    Rule {
        within: &["memtrace/src/"],
        except: &["memtrace/src/inspector/"],
        forbidden: &["tungstenite", "httparse"],
        because: "only inspector/ names tungstenite and httparse",
    },
    Rule {
        within: &["memtrace/src/"],
        except: &["memtrace/src/tui/"],
        forbidden: &["ratatui_core", "ratatui_crossterm"],
        because: "only tui/ names ratatui",
    },
    Rule {
        within: &["memtrace/src/tui/"],
        except: &["memtrace/src/tui/terminal.rs", "memtrace/src/tui/screen.rs"],
        forbidden: &[
            "std::fs",
            "std::env",
            "std::io",
            "std::process",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "Instant::now",
            "ratatui_crossterm",
            "tokio",
        ],
        because: "the screen's state and its drawing touch neither the terminal nor a clock",
    },
    Rule {
        within: &["memtrace/src/tui/"],
        except: &[],
        forbidden: &[
            "crate::target",
            "crate::process",
            "crate::plan",
            "crate::probe",
            "crate::decode",
            "crate::ledger",
            "crate::symbolize",
            "crate::store",
            "crate::session",
            "crate::cli",
        ],
        because: "an output sees the profile and nothing before it",
    },
    Rule {
        within: &PURE,
        except: &[],
        forbidden: &[
            "std::fs",
            "std::net",
            "std::process",
            "std::env",
            "std::os",
            "std::io::stdin",
            "std::io::stdout",
            "std::io::stderr",
            "rustix",
            "nix",
            "libc",
            "tokio",
        ],
        because: "plan, decode, ledger, profile and render do no I/O",
    },
    Rule {
        within: &PURE,
        except: &[],
        forbidden: &[
            "std::time::SystemTime",
            "std::time::Instant",
            "SystemTime::now",
            "Instant::now",
        ],
        because: "plan, decode, ledger, profile and render read no clock: time comes from events",
    },
    Rule {
        within: &[
            "memtrace/src/target/",
            "memtrace/src/process/",
            "memtrace/src/plan/",
            "memtrace/src/probe/",
            "memtrace/src/unwind/",
            "memtrace/src/decode/",
            "memtrace/src/heap_snapshot/",
            "memtrace/src/inspector/",
            "memtrace/src/ledger/",
            "memtrace/src/resident/",
            "memtrace/src/symbolize/",
            "memtrace/src/profile/",
            "memtrace/src/render/",
            "memtrace/src/store/",
            "memtrace/src/pymalloc/",
        ],
        except: &[],
        forbidden: &["crate::cli", "crate::session", "crate::tui", "crate::serve"],
        because: "imports go from the command line to the session to the stages, never back",
    },
    Rule {
        within: &["memtrace/src/render/", "memtrace/src/profile/"],
        except: &[],
        forbidden: &[
            "crate::target",
            "crate::process",
            "crate::plan",
            "crate::probe",
            "crate::decode",
            "crate::heap_snapshot",
            "crate::inspector",
            "crate::symbolize",
            "crate::store",
            "crate::pymalloc",
        ],
        because: "an output sees the profile and nothing before it",
    },
    Rule {
        within: &[
            "memtrace/src/plan/",
            "memtrace/src/decode/",
            "memtrace/src/heap_snapshot/",
            "memtrace/src/ledger/",
            "memtrace/src/resident/",
            "memtrace/src/symbolize/",
        ],
        except: &[],
        forbidden: &["crate::probe", "crate::render"],
        because: "no stage calls another: the session does",
    },
    Rule {
        within: &["memtrace/src/", "memtrace-common/src/", "xtask/src/", "tests/src/"],
        except: &[
            "memtrace/src/target/",
            "memtrace/src/probe/counted.rs",
            "memtrace/src/probe/sys.rs",
            "memtrace/src/probe/watchpoint.rs",
            "memtrace-common/src/pod.rs",
        ],
        forbidden: &["unsafe"],
        because: "unsafe code is in memtrace-ebpf, in the Pod impls, in the suspended launch and in the system calls that aya has not only",
    },
];

/// What a file breaks, one line each.
pub(super) fn check(file: &str, text: &str) -> Vec<String> {
    let rules: Vec<_> = RULES.iter().filter(|rule| rule.holds_in(file)).collect();
    if rules.is_empty() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for Named { path, line } in source::named_paths(text) {
        for rule in &rules {
            if rule.forbidden.iter().any(|forbidden| begins_with(&path, forbidden)) {
                problems.push(format!("{file}:{line}: names {path}, but {}", rule.because));
            }
        }
    }
    problems
}

impl Rule {
    fn holds_in(&self, file: &str) -> bool {
        let any = |beginnings: &[&str]| beginnings.iter().any(|beginning| file.starts_with(beginning));
        any(self.within) && !any(self.except)
    }
}

/// Whether the path is this one or goes on from it.
fn begins_with(path: &str, beginning: &str) -> bool {
    path.strip_prefix(beginning)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_breach_is_found() {
        for (file, text) in [
            ("memtrace/src/session.rs", "use aya::maps::RingBuf;"),
            ("memtrace/src/session.rs", "fn f(b: ::aya::Ebpf) {}"),
            ("memtrace/src/profile/mod.rs", "use blazesym::Pid;"),
            ("memtrace/src/symbolize/mod.rs", "use gimli::EhFrame;"),
            ("memtrace/src/options.rs", "#[derive(clap::Args)] struct A;"),
            ("memtrace/src/render/text.rs", "use inferno::flamegraph;"),
            ("memtrace/src/render/json.rs", "use prost::Message;"),
            ("memtrace/src/render/text.rs", "use std::{fmt, fs::File, io};"),
            ("memtrace/src/ledger/mod.rs", "let now = std::time::Instant::now();"),
            ("memtrace/src/ledger/mod.rs", "use std::time::{Duration, Instant};"),
            ("memtrace/src/decode/mod.rs", "use crate::{event, session::Session};"),
            ("memtrace/src/render/json.rs", "use crate::symbolize;"),
            ("memtrace/src/ledger/live.rs", "fn f() { unsafe { g() } }"),
        ] {
            assert_eq!(check(file, text).len(), 1, "{file}: {text}");
        }
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        for (file, text) in [
            ("memtrace/src/probe/load.rs", "use aya::Ebpf;"),
            ("memtrace/src/cli/mod.rs", "use clap::Parser;"),
            ("memtrace/src/main.rs", "use clap::Parser;"),
            ("memtrace/src/render/flamegraph.rs", "use inferno::flamegraph;"),
            ("memtrace/src/unwind/cfi.rs", "use gimli::EhFrame;"),
            (
                "memtrace/src/render/text.rs",
                "use std::{fmt, io::Write, time::Duration};",
            ),
            ("memtrace/src/session.rs", "use std::time::Instant;"),
            (
                "memtrace/src/session.rs",
                "// aya::maps is not named here\nlet s = \"aya::maps\";",
            ),
            (
                "memtrace/src/session.rs",
                "use crate::probe::aya_like; let ayatollah = 1;",
            ),
            (
                "memtrace/src/ledger/mod.rs",
                "fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }",
            ),
            ("memtrace-ebpf/src/main.rs", "unsafe { f() }"),
        ] {
            assert_eq!(check(file, text), Vec::<String>::new(), "{file}: {text}");
        }
    }
}
