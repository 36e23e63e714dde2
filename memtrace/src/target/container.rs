//! Which container a process is in, told by its cgroup: no daemon is asked, so it works for every runtime alike.
//!
//! A runtime makes a cgroup for each container and puts its id into the name. What is known of the names comes from the runtimes'
//! documentation and from what they make; a name that is not known is no container.

use std::fs;

/// Digits of an id of docker, podman, containerd and cri-o: a SHA-256.
const ID_DIGITS: usize = 64;
/// Digits that people see of such an id.
const SHORT_DIGITS: usize = 12;

/// Beginnings of a cgroup's name before such an id, and the runtime. A monitor has a cgroup of its own beside that of its container
/// (`libpod-conmon-ID.scope`), and is not in it: what follows must be the id alone.
const PREFIXES: [(&str, &str); 7] = [
    ("docker-", "docker"),
    ("libpod-", "podman"),
    ("libpod-payload-", "podman"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("crio-payload-", "cri-o"),
];

/// A container, as far as a cgroup tells.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Container {
    /// The runtime's name.
    pub runtime: &'static str,
    /// Its id: 64 hexadecimal digits, or a name for lxc and systemd-nspawn.
    pub id: String,
}

impl Container {
    /// The id as people know it: its first 12 digits, or the name.
    pub fn name(&self) -> &str {
        if is_id(&self.id) {
            self.id.get(..SHORT_DIGITS).unwrap_or(&self.id)
        } else {
            &self.id
        }
    }
}

/// The container of a process by the text of its `/proc/PID/cgroup`; the innermost one where they are nested.
pub fn of(cgroup_text: &str) -> Option<Container> {
    paths(cgroup_text)
        .flat_map(along)
        .max_by_key(|(_, path)| path.len())
        .map(|(container, _)| container)
}

/// The container of a process that runs, if it is in one.
pub fn of_process(pid: u32) -> Option<Container> {
    let text = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    of(&String::from_utf8_lossy(&text))
}

/// The paths in a text of `/proc/PID/cgroup`, one for each hierarchy: `4:memory:/docker/...`, `0::/system.slice/...`.
pub(super) fn paths(cgroup_text: &str) -> impl Iterator<Item = &str> {
    // The mark of a cgroup that was removed is no part of its path.
    let path = |line| -> Option<&str> { str::splitn(line, 3, ':').nth(2) };
    cgroup_text
        .lines()
        .filter_map(path)
        .map(|path| path.strip_suffix(" (deleted)").unwrap_or(path))
}

/// The containers along a path, outermost first, each with the path of its own cgroup.
pub(super) fn along(path: &str) -> impl Iterator<Item = (Container, &str)> {
    let mut parents = Parents::default();
    let mut start = 0;
    path.split('/').filter_map(move |name| {
        let end = start + name.len();
        start = end + 1;
        let found = container(name, &parents);
        parents.enter(name);
        Some((found?, path.get(..end)?))
    })
}

/// What is known of the cgroups above one.
#[derive(Default)]
struct Parents<'path> {
    /// The one right above.
    last: &'path str,
    /// Whether one of them is kubernetes' own.
    kubernetes: bool,
}

impl<'path> Parents<'path> {
    fn enter(&mut self, name: &'path str) {
        self.kubernetes |= name.starts_with("kubepods");
        if !name.is_empty() {
            self.last = name;
        }
    }
}

/// The container whose cgroup has this name.
fn container(name: &str, parents: &Parents<'_>) -> Option<Container> {
    let found = |runtime, id: &str| {
        Some(Container {
            runtime,
            id: id.to_owned(),
        })
    };
    if is_id(name) {
        return match parents.last {
            "docker" => found("docker", name),
            "libpod_parent" => found("podman", name),
            "default" | "k8s.io" | "moby" => found("containerd", name),
            _ if parents.kubernetes => found("kubernetes", name),
            _ => None,
        };
    }
    // Without systemd's driver a runtime may take `SLICE:RUNTIME:ID` for a name.
    if let Some((_, prefix, id)) = name.split_once(':').and_then(|(slice, rest)| {
        let (prefix, id) = rest.split_once(':')?;
        Some((slice, prefix, id))
    }) && is_id(id)
    {
        let known = PREFIXES
            .iter()
            .find(|(known, _)| known.strip_suffix('-') == Some(prefix));
        return known.and_then(|(_, runtime)| found(runtime, id));
    }
    let unit = name.strip_suffix(".scope").unwrap_or(name);
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = unit.strip_prefix(prefix).filter(|id| is_id(id)) {
            return found(runtime, id);
        }
    }
    if let Some(id) = name.strip_prefix("lxc.payload.").filter(|id| !id.is_empty()) {
        return found("lxc", id);
    }
    if parents.last == "lxc" && !name.is_empty() {
        return found("lxc", name);
    }
    machine(name).and_then(|id| found("systemd-nspawn", &id))
}

/// The name of a machine of systemd's: `machine-NAME.scope`, or `systemd-nspawn@NAME.service` for one that is a service. Virtual
/// machines have such scopes too; they are no containers.
fn machine(name: &str) -> Option<String> {
    let escaped = name
        .strip_prefix("machine-")
        .and_then(|rest| rest.strip_suffix(".scope"))
        .or_else(|| name.strip_prefix("systemd-nspawn@")?.strip_suffix(".service"))?;
    let name = escaped.replace("\\x2d", "-");
    (!name.is_empty() && !name.starts_with("qemu-")).then_some(name)
}

/// Whether it is an id of 64 hexadecimal digits.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && is_hexadecimal(text)
}

/// Whether there are hexadecimal digits only.
pub(super) fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const INNER: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

    fn told(text: &str) -> Option<(&'static str, String)> {
        of(text).map(|container| (container.runtime, container.id))
    }

    #[test]
    fn every_runtime_is_told_by_its_names() {
        let cases = [
            ("12:memory:/docker/ID\n1:name=systemd:/docker/ID\n", "docker"),
            ("0::/system.slice/docker-ID.scope\n", "docker"),
            ("0::/docker/ID/init.scope\n", "docker"),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container\n",
                "podman",
            ),
            ("0::/machine.slice/libpod-ID.scope\n", "podman"),
            ("9:pids:/libpod_parent/libpod-ID\n", "podman"),
            ("0::/system.slice/cri-containerd-ID.scope\n", "containerd"),
            (
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f_2.slice/cri-containerd-ID.scope\n",
                "containerd",
            ),
            ("0::/system.slice/nerdctl-ID.scope\n", "containerd"),
            ("0::/default/ID\n", "containerd"),
            ("5:cpu:/kubepods/besteffort/pod12-34/ID\n", "kubernetes"),
            ("0::/kubelet/kubepods/pod12-34/ID\n", "kubernetes"),
            (
                "0::/system.slice/containerd.service/kubepods-besteffort-pod9.slice:cri-containerd:ID\n",
                "containerd",
            ),
            (
                "0::/kubepods.slice/kubepods-pod3.slice/crio-ID.scope/container\n",
                "cri-o",
            ),
        ];
        for (text, runtime) in cases {
            assert_eq!(told(&text.replace("ID", ID)), Some((runtime, ID.to_owned())), "{text}");
        }
    }

    #[test]
    fn containers_with_names() {
        let cases = [
            ("0::/lxc/web\n", "lxc", "web"),
            ("4:memory:/lxc/101/ns/init.scope\n", "lxc", "101"),
            ("0::/lxc.payload.web-1/system.slice/cron.service\n", "lxc", "web-1"),
            (
                "0::/machine.slice/machine-fedora\\x2d42.scope/payload\n",
                "systemd-nspawn",
                "fedora-42",
            ),
            (
                "0::/machine.slice/systemd-nspawn@box.service/payload\n",
                "systemd-nspawn",
                "box",
            ),
        ];
        for (text, runtime, name) in cases {
            assert_eq!(told(text), Some((runtime, name.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "0::/\n",
            "0::/user.slice/user-0.slice/session-1.scope\n",
            "0::/system.slice/docker.service\n",
            "0::/docker/short\n",
            "0::/docker-ID.scope\n",
            "0::/machine.slice/libpod-conmon-ID.scope\n".replace("ID", ID).as_str(),
            "0::/lxc.monitor.web\n",
            "0::/lxc/\n",
            "0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope\n",
            "no colons at all",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }

    #[test]
    fn the_innermost_of_nested_ones_and_every_one_with_its_path() {
        let path = format!("/docker/{ID}/kubelet/kubepods/burstable/pod7/{INNER}/init");
        assert_eq!(told(&format!("0::{path}\n")), Some(("kubernetes", INNER.to_owned())));
        let found: Vec<_> = along(&path)
            .map(|(container, path)| (container.id, path.to_owned()))
            .collect();
        assert_eq!(
            found,
            [
                (ID.to_owned(), format!("/docker/{ID}")),
                (
                    INNER.to_owned(),
                    format!("/docker/{ID}/kubelet/kubepods/burstable/pod7/{INNER}")
                ),
            ]
        );
    }

    #[test]
    fn names_for_people() {
        assert_eq!(of(&format!("0::/docker/{ID}")).unwrap().name(), "0123456789ab");
        assert_eq!(of("0::/lxc/a-rather-long-name").unwrap().name(), "a-rather-long-name");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([0-9]:|[a-f0-9]{64}|/|\n|docker|lxc|lxc.payload.|machine-|.scope|libpod-|:|\\PC){0,20}") {
            for path in paths(&text) {
                for (container, own) in along(path) {
                    prop_assert!(path.starts_with(own));
                    prop_assert!(container.name().len() <= container.id.len());
                }
            }
            let _either = of(&text);
        }
    }
}
