//! Flags that say which processes are targets, and what belongs to them.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use crate::{options, target::select::Asked};

/// Which processes: exactly one kind.
#[derive(Clone, Debug, Args)]
#[group(id = "target", required = true, multiple = false)]
#[command(next_help_heading = "Targets (one of them)")]
pub(super) struct TargetArgs {
    /// Process id of a program; several are parted by commas, or the flag is repeated
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pid: Vec<u32>,
    /// Programs of this name (as in `ps -o comm`): those that run now and those that start later
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    comm: Option<String>,
    /// All processes of a cgroup and of those below it: a path below the cgroup root, such as system.slice/nginx.service, or one
    /// that begins with /sys/fs/cgroup
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// All processes of a container of docker, podman, containerd, kubernetes, cri-o, lxc or systemd-nspawn: its id, the
    /// beginning of its id (6 characters or more), or for the last two its name
    #[arg(long, value_name = "ID|NAME", value_parser = NonEmptyStringValueParser::new())]
    container: Option<String>,
    /// Every process of the machine
    #[arg(long)]
    all: bool,
}

impl TargetArgs {
    /// The one kind that was given.
    pub(super) fn asked(self) -> Asked {
        let Self {
            pid,
            comm,
            cgroup,
            container,
            all,
        } = self;
        // The group allows one of them only, so their order does not matter.
        match (all, comm, cgroup, container) {
            (true, ..) => Asked::All,
            (_, Some(name), ..) => Asked::Command(name),
            (_, _, Some(path), _) => Asked::Cgroup(path),
            (_, _, _, Some(container)) => Asked::Container(container),
            (false, None, None, None) => Asked::Processes(pid),
        }
    }
}

/// What else belongs to the targets; `attach` and `run` share it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Scope")]
pub struct ScopeArgs {
    /// Do not follow the children of the targets
    #[arg(long)]
    pub no_follow: bool,
    /// Put the probes also into processes that are no targets but share a file with one, so that new children are seen from
    /// their first call on. All programs of the machine that use such a file, the C library above all, then pay for
    /// every call, although nothing of theirs is counted
    #[arg(long)]
    pub machine_wide: bool,
    /// Report the same call stack of different groups apart
    #[arg(long, value_enum, default_value_t = Split::Command)]
    pub split: Split,
    /// An allocator of the program's own, as the symbols of its functions: SIZE is the number of the argument that has the size
    /// (from 0 on; 0 when it is left out), or N*M where two are multiplied. Can be repeated
    #[arg(long, value_name = "ALLOC:FREE[:SIZE]", value_parser = NonEmptyStringValueParser::new())]
    pub pair: Vec<String>,
}

/// What sites are kept apart by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Split {
    /// Each process by itself
    Process,
    /// Containers; what is in none is one group
    Container,
    /// Programs by their name
    Command,
    /// Nothing: equal call stacks of all targets are one site
    None,
}

impl From<Split> for options::Split {
    fn from(split: Split) -> Self {
        match split {
            Split::Process => Self::Process,
            Split::Container => Self::Container,
            Split::Command => Self::Command,
            Split::None => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        targets: TargetArgs,
    }

    fn asked(args: &[&str]) -> Result<Asked, String> {
        Line::try_parse_from([&["attach"], args].concat())
            .map(|line| line.targets.asked())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn exactly_one_kind_of_targets() {
        let cases: [(&[&str], Asked); 6] = [
            (&["-p", "3"], Asked::Processes(vec![3])),
            (&["--pid", "3,5", "--pid=7"], Asked::Processes(vec![3, 5, 7])),
            (&["--comm", "nginx"], Asked::Command("nginx".into())),
            (&["--cgroup", "a/b"], Asked::Cgroup("a/b".into())),
            (&["--container", "abc"], Asked::Container("abc".into())),
            (&["--all"], Asked::All),
        ];
        for (args, wanted) in cases {
            assert_eq!(asked(args).unwrap(), wanted);
        }
        for args in [
            &[][..],
            &["--all", "--pid", "3"],
            &["--comm", "a", "--cgroup", "b"],
            &["--pid", "0"],
            &["--pid", "3,x"],
            &["--comm", ""],
        ] {
            assert!(asked(args).is_err(), "{args:?}");
        }
    }
}
