//! Profiles for unit tests: [`profile`] adds up and judges [`SiteSpec`]s as collection does.

use std::time::Duration;

use memtrace_common::op::{Class, Op};

use super::{Allocator, Amount, Cost, End, Frame, Health, Profile, Settings, Site, StackHealth, Target, Totals};

/// A site and its frames.
#[derive(Clone, Debug)]
pub(crate) struct SiteSpec {
    /// The site; its stack is made from `frames`.
    pub(crate) site: Site,
    /// Leaf first, or `None` for a lost stack.
    frames: Option<Vec<Frame>>,
}

impl SiteSpec {
    /// A site without blocks and without a stack.
    pub(crate) fn new(op: Op) -> Self {
        let site = Site {
            op,
            stack: None,
            live: Amount::default(),
            allocated: Amount::default(),
            aged: Amount::default(),
            oldest: None,
            growth_bytes_per_second: 0.0,
            history: Vec::new(),
            suspicion: None,
        };
        Self { site, frames: None }
    }

    /// Sets the stack, leaf first.
    pub(crate) fn stack(mut self, frames: impl IntoIterator<Item = Frame>) -> Self {
        self.frames = Some(frames.into_iter().collect());
        self
    }

    /// Sets live bytes and blocks; at least as much was allocated.
    pub(crate) fn live(mut self, bytes: u64, count: u64) -> Self {
        self.site.live = Amount { bytes, count };
        if self.site.allocated.count < count {
            self.site.allocated = self.site.live;
        }
        self
    }

    /// Sets allocated bytes and blocks.
    pub(crate) fn allocated(mut self, bytes: u64, count: u64) -> Self {
        self.site.allocated = Amount { bytes, count };
        self
    }

    /// Sets live bytes and blocks that are old.
    pub(crate) fn aged(mut self, bytes: u64, count: u64) -> Self {
        self.site.aged = Amount { bytes, count };
        self
    }

    /// Sets the age of the oldest block in seconds.
    pub(crate) fn oldest(mut self, seconds: u64) -> Self {
        self.site.oldest = Some(Duration::from_secs(seconds));
        self
    }

    /// Sets live bytes at each second.
    pub(crate) fn history(mut self, bytes: &[u64]) -> Self {
        self.site.history = (0..).map(Duration::from_secs).zip(bytes.iter().copied()).collect();
        self
    }
}

/// A frame with a function and without a source line.
pub(crate) fn frame(function: &str, module: &str) -> Frame {
    Frame {
        function: Some(function.into()),
        module: module.into(),
        offset: 0x1234,
        file: None,
        line: None,
        inlined: false,
    }
}

/// A frame with a source line.
pub(crate) fn line(function: &str, module: &str, file: &str, line: u32) -> Frame {
    Frame {
        file: Some(file.into()),
        line: Some(line),
        ..frame(function, module)
    }
}

/// Ten rows, ten seconds, no least size.
pub(crate) fn settings() -> Settings {
    Settings {
        top: 10,
        min_age: Duration::from_secs(10),
        min_size: 0,
    }
}

/// A finished profile of one minute.
pub(crate) fn profile(specs: impl IntoIterator<Item = SiteSpec>) -> Profile {
    let mut profile = Profile {
        target: Target {
            pid: 4242,
            command: "redis-server".into(),
            executable: "/usr/bin/redis-server".into(),
            allocators: vec![Allocator {
                name: "glibc".into(),
                path: "/usr/lib/x86_64-linux-gnu/libc.so.6".into(),
                hooks: ["malloc", "calloc", "realloc", "free"].map(str::to_owned).to_vec(),
            }],
            end: Some(End::Duration),
        },
        observed: Duration::from_mins(1),
        settings: settings(),
        totals: Totals::default(),
        frames: Vec::new(),
        stacks: Vec::new(),
        sites: Vec::new(),
        health: Health::default(),
    };
    for SiteSpec { mut site, frames } in specs {
        if let Some(frames) = frames {
            let stack = frames
                .into_iter()
                .map(|frame| intern(&mut profile.frames, frame))
                .collect();
            profile.stacks.push(stack);
            site.stack = Some(profile.stacks.len() - 1);
        }
        profile.sites.push(site);
    }
    add_up(&mut profile);
    profile.finished()
}

fn intern(frames: &mut Vec<Frame>, frame: Frame) -> u32 {
    let index = frames.iter().position(|known| *known == frame).unwrap_or_else(|| {
        frames.push(frame);
        frames.len() - 1
    });
    u32::try_from(index).unwrap()
}

fn add_up(profile: &mut Profile) {
    let add = |sum: &mut Amount, amount: Amount| {
        sum.bytes = sum.bytes.saturating_add(amount.bytes);
        sum.count += amount.count;
    };
    let totals = &mut profile.totals;
    for &class in Class::ALL {
        let mut live = Amount::default();
        for site in profile.sites.iter().filter(|site| site.op.class() == class) {
            add(&mut live, site.live);
            if class.is_memory() {
                add(&mut totals.allocated, site.allocated);
            }
        }
        if class.is_memory() {
            add(&mut totals.live, live);
        }
        totals.live_by_class.push((class, live));
    }
    totals.peak_live_bytes = totals.live.bytes.saturating_add(totals.live.bytes / 10);
    let named = profile.frames.iter().filter(|frame| frame.function.is_some()).count();
    profile.health = Health {
        events: totals.allocated.count * 2,
        unmatched_frees: 12,
        stacks: StackHealth {
            distinct: profile.stacks.len() as u64,
            ..StackHealth::default()
        },
        frames_symbolized: named as u64,
        frames_total: profile.frames.len() as u64,
        cost: Cost {
            cpu_seconds: 0.42,
            peak_memory_bytes: 32_716_800,
            bpf_seconds: 0.118,
            hits: 2_400_132,
        },
        ..Health::default()
    };
}

/// Stacks as a key-value server has them: a leak, a cache, plumbing of C++ and a library without symbols.
pub(crate) fn normal() -> Profile {
    let exe = |function, file, number| line(function, "redis-server", file, number);
    let main = || {
        [
            exe("aeProcessEvents", "/build/redis/src/ae.c", 413),
            exe("main", "/build/redis/src/server.c", 7239),
        ]
    };
    let malloc = || frame("malloc", "libc.so.6");
    let deep = (0..9).map(|depth| exe("luaD_call", "/build/redis/deps/lua/src/ldo.c", 370 + depth));
    let create = Frame {
        inlined: true,
        ..exe("createStringObject", "/build/redis/src/object.c", 75)
    };
    let plugin = Frame {
        function: None,
        offset: 0x1f_3a40,
        ..frame("", "libplugin.so")
    };
    let cpp = "std::unordered_map<std::basic_string<char>, std::vector<std::pair<unsigned long, \
               std::shared_ptr<engine::Row>>>, engine::Hash>::operator[](std::basic_string<char> const&)";
    profile([
        SiteSpec::new(Op::Malloc)
            .stack(
                [
                    malloc(),
                    exe("zmalloc", "/build/redis/src/zmalloc.c", 101),
                    exe("sdsnewlen", "/build/redis/src/sds.c", 110),
                    create,
                ]
                .into_iter()
                .chain(main()),
            )
            .live(8_388_608, 1_024)
            .allocated(8_552_448, 1_044)
            .aged(7_340_032, 896)
            .oldest(58)
            .history(&[
                0, 1_048_576, 2_097_152, 3_145_728, 3_145_728, 5_242_880, 6_291_456, 8_388_608,
            ]),
        SiteSpec::new(Op::Calloc)
            .stack(
                [
                    frame("calloc", "libc.so.6"),
                    exe("dictExpand", "/build/redis/src/dict.c", 171),
                ]
                .into_iter()
                .chain(main()),
            )
            .live(4_194_304, 2)
            .allocated(16_777_216, 12)
            .aged(4_194_304, 2)
            .oldest(55)
            .history(&[
                0, 4_194_304, 4_194_304, 4_194_304, 4_194_304, 4_194_304, 4_194_304, 4_194_304,
            ]),
        SiteSpec::new(Op::Malloc)
            .stack(
                [
                    malloc(),
                    frame("operator new(unsigned long)", "libstdc++.so.6"),
                    line(cpp, "engine.so", "/build/engine/table.cc", 88),
                ]
                .into_iter()
                .chain(deep)
                .chain(main()),
            )
            .live(300_000, 150)
            .allocated(1_234_567_890, 9_876_543)
            .oldest(3)
            .history(&[310_000, 290_000, 300_000, 305_000, 300_000]),
        SiteSpec::new(Op::Realloc)
            .stack([frame("realloc", "libc.so.6"), plugin])
            .live(1_023, 1)
            .oldest(1),
        SiteSpec::new(Op::Mmap)
            .stack([frame("mmap64", "libc.so.6"), frame("arena_new", "engine.so")])
            .live(65_536, 1)
            .oldest(59),
        SiteSpec::new(Op::MmapFile)
            .stack([
                frame("mmap64", "libc.so.6"),
                frame("_dl_map_object", "ld-linux-x86-64.so.2"),
            ])
            .live(2_097_152, 4),
    ])
}

/// Nothing was allocated.
pub(crate) fn empty() -> Profile {
    let mut profile = profile([]);
    profile.observed = Duration::from_secs(3);
    profile
}

/// Names that a hostile target could choose.
pub(crate) fn hostile() -> Profile {
    let attacks = [
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "x;y\nz 99 100",
        "</text><script>alert(\"1\")&amp;</script>]]>",
        "a\u{202e}cba\u{200b}\u{feff}\u{85}\u{2028}\u{e0041}",
        "# comment",
        "_[k]",
        "",
        " ",
    ];
    let specs = attacks.iter().zip(1..).map(|(name, size)| {
        let named = line(name, "evil\u{1b}[31m.so", "/tmp/\u{9b}31m\r\nevil.c", 1);
        let unnamed = Frame {
            function: None,
            ..named.clone()
        };
        SiteSpec::new(Op::Malloc)
            .stack([named, unnamed])
            .live(size * 100, size)
            .aged(size * 100, size)
            .oldest(20)
    });
    let mut profile = profile(specs);
    profile.target.command = "\u{1b}[31mevil\n\u{202e}".into();
    profile.target.executable = "/tmp/\u{0}\u{9b}evil -- -->".into();
    profile.target.allocators[0].path.push('\u{1b}');
    profile.target.end = Some(End::Exited(Some("killed by \u{1b}[0m signal".into())));
    profile
        .health
        .notes
        .push("build id of evil\u{1b}[31m.so is missing".into());
    profile.health.counters.push(("no\u{7}such".into(), 1));
    profile.finished()
}

/// A ring that was too small: stacks, allocations and frees were lost.
pub(crate) fn lossy() -> Profile {
    let mut profile = profile([
        SiteSpec::new(Op::Malloc)
            .live(9_000, 3)
            .allocated(90_000, 30)
            .aged(6_000, 2)
            .oldest(20),
        SiteSpec::new(Op::Malloc).stack([]).live(64, 1),
    ]);
    let health = &mut profile.health;
    (health.lost_allocations, health.lost_bytes) = (1_204, 1_234_567);
    (health.recovered_frees, health.forgotten_frees, health.conflicts) = (77, 5, 2);
    (health.lost_other, health.malformed) = (1, 3);
    health.stacks = StackHealth {
        distinct: 1,
        complete: 1_500,
        deep: 4,
        broken: 8,
        no_table: 6,
        unreadable: 2,
        early: 3,
        lost: 31,
        ..StackHealth::default()
    };
    health
        .notes
        .push("The ring buffer of 64.0 KiB was full 3 times; --ring-size makes it larger.".into());
    health.counters = vec![("ring_full".into(), 1_204), ("bad_frame".into(), 8)];
    profile
}

/// A target that exited by itself while some blocks were live.
pub(crate) fn exited() -> Profile {
    let main = || line("main", "app", "/src/app/main.c", 42);
    let mut profile = profile([
        SiteSpec::new(Op::Malloc)
            .stack([
                frame("malloc", "libc.so.6"),
                line("read_config", "app", "config.c", 17),
                main(),
            ])
            .live(4_096, 1)
            .oldest(2),
        SiteSpec::new(Op::Malloc)
            .stack([
                frame("malloc", "libc.so.6"),
                line("handle", "app", "/src/app/handle.c", 230),
                main(),
            ])
            .live(512_000, 1_000)
            .allocated(512_512, 1_001)
            .history(&[0, 102_400, 204_800, 307_200, 512_000]),
        SiteSpec::new(Op::Calloc)
            .stack([frame("calloc", "libc.so.6"), main()])
            .allocated(4_096_000, 64),
    ]);
    profile.observed = Duration::from_millis(2_500);
    profile.target.command = "app".into();
    profile.target.executable = "/usr/local/bin/app".into();
    profile.target.end = Some(End::Exited(Some("exit status 1".into())));
    profile.finished()
}

/// Every fixture by name.
pub(crate) fn all() -> [(&'static str, Profile); 5] {
    [
        ("normal", normal()),
        ("empty", empty()),
        ("hostile", hostile()),
        ("lossy", lossy()),
        ("exited", exited()),
    ]
}
