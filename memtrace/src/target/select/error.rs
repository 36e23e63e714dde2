//! Why nothing could be selected.

use std::{fmt::Write as _, io, path::PathBuf};

use thiserror::Error;

/// Most entries of a list in a message.
const LISTED: usize = 8;
/// Most directories: version 1 has a hierarchy for each controller, and they say the same.
const DIRECTORIES: usize = 3;

/// Why nothing could be selected.
#[derive(Debug, Error)]
pub enum SelectError {
    /// The list of mounts cannot be read.
    #[error("failed to read /proc/self/mountinfo to find where cgroups are mounted: {0}")]
    Mounts(#[source] io::Error),
    /// The list of processes cannot be read.
    #[error("failed to list the processes in /proc: {0}")]
    Processes(#[source] io::Error),
    /// Cgroups are not mounted.
    #[error(
        "no cgroup hierarchy is mounted where memtrace runs, so processes cannot be told by their cgroup (in a container: share \
         /sys/fs/cgroup with it; or use --pid or --comm)"
    )]
    NoHierarchy,
    /// No cgroup of this path.
    #[error("no cgroup {}{}{}", .asked.display(), tried(.looked_at), alike(.near))]
    NoSuchCgroup {
        /// What was given.
        asked: PathBuf,
        /// The directories that there are not.
        looked_at: Vec<PathBuf>,
        /// Cgroups of a similar name.
        near: Vec<String>,
    },
    /// No container of this id or name.
    #[error("no running container {asked}{}; {}", hint(.asked), that_run(.running))]
    NoSuchContainer {
        /// What was given.
        asked: String,
        /// Those that run: runtime and short id.
        running: Vec<String>,
    },
    /// Several containers of this id.
    #[error("{asked} is the beginning of several containers' ids: {}; give more of the id", list(.found))]
    Ambiguous {
        /// What was given.
        asked: String,
        /// Runtime and id of each.
        found: Vec<String>,
    },
    /// An id that is too short.
    #[error("{asked} is too short for the beginning of a container's id: give {least} characters or more")]
    TooShort {
        /// What was given.
        asked: String,
        /// Fewest characters.
        least: usize,
    },
    /// A container whose cgroup is not mounted here.
    #[error(
        "the cgroup {cgroup} of container {container} is not visible where memtrace runs (in a container: start memtrace on the host, or \
         share its /sys/fs/cgroup)"
    )]
    Hidden {
        /// Runtime and short id.
        container: String,
        /// The path of its cgroup.
        cgroup: String,
    },
}

fn tried(directories: &[PathBuf]) -> String {
    if directories.is_empty() {
        return ": the path leads out of what is mounted".to_owned();
    }
    let names: Vec<_> = directories
        .iter()
        .map(|directory| directory.display().to_string())
        .collect();
    format!(": looked at {}", first(DIRECTORIES, &names))
}

fn alike(names: &[String]) -> String {
    if names.is_empty() {
        return " (`systemd-cgls` shows all)".to_owned();
    }
    format!("; did you mean {}?", list(names))
}

/// What to do about a name that is none of an id.
fn hint(asked: &str) -> &'static str {
    if super::super::container::is_hexadecimal(asked) {
        return "";
    }
    " (names that docker, podman and kubernetes give are known only to their daemons: \
     `docker inspect --format {{.Id}} NAME` or `crictl ps` tells the id)"
}

fn that_run(containers: &[String]) -> String {
    if containers.is_empty() {
        return "no container runs here that memtrace knows".to_owned();
    }
    format!("running: {}", list(containers))
}

/// `a, b, c and 3 more`.
fn list(names: &[String]) -> String {
    first(LISTED, names)
}

fn first(most: usize, names: &[String]) -> String {
    let mut text = names.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > most {
        let _infallible = write!(text, " and {} more", names.len() - most);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        let cases = [
            (
                SelectError::NoSuchCgroup {
                    asked: "nginx".into(),
                    looked_at: vec!["/sys/fs/cgroup/nginx".into()],
                    near: vec!["system.slice/nginx.service".into()],
                },
                "no cgroup nginx: looked at /sys/fs/cgroup/nginx; did you mean system.slice/nginx.service?",
            ),
            (
                SelectError::NoSuchContainer {
                    asked: "0123456".into(),
                    running: Vec::new(),
                },
                "no running container 0123456; no container runs here that memtrace knows",
            ),
            (
                SelectError::Ambiguous {
                    asked: "012345".into(),
                    found: (0..10).map(|number| format!("docker {number}")).collect(),
                },
                "012345 is the beginning of several containers' ids: docker 0, docker 1, docker 2, docker 3, docker 4, docker 5, \
                 docker 6, docker 7 and 2 more; give more of the id",
            ),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
        let by_name = SelectError::NoSuchContainer {
            asked: "web".into(),
            running: vec!["lxc web2".into()],
        };
        let text = by_name.to_string();
        assert!(
            text.contains("docker inspect --format {{.Id}} NAME") && text.ends_with("running: lxc web2"),
            "{text}"
        );
    }
}
