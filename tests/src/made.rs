//! Profiles that are made, of any size: a service with frames of every kind, with everything that a report can show.

mod js_heap;

use std::{sync::Arc, time::Duration};

use memtrace::profile::{
    Allocator, Amount, Cost, End, Frame, FrameKind, Health, History, Moment, Process, Profile, Resident, Settings,
    Site, Spread, StackHealth, Target, Totals,
    resident::{Effort, Parts, Reading},
    spaces::{Space, SpaceUse, Spaces},
    suppress::Suppressions,
};
use memtrace_common::op::{Class, Op};

/// Moments of every history.
const MOMENTS: u64 = 48;

/// Seconds from one moment to the next.
const STEP: u64 = 5;

/// How large a profile is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Sites, each with a stack of its own.
    pub sites: u64,
    /// Functions that stacks are made of.
    pub functions: u64,
    /// Frames of a stack, without the allocator's.
    pub depth: u64,
    /// One site of so many has a stack of any functions, and not that of its neighbours but for the frames near the leaf.
    pub scattered: u64,
}

/// A number that looks random, the same on every machine (splitmix64).
const fn mixed(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn frame(number: u64) -> Frame {
    const PARTS: [&str; 12] = [
        "request", "session", "cache", "index", "parser", "buffer", "table", "worker", "reply", "query", "token",
        "pool",
    ];
    const VERBS: [&str; 9] = [
        "load", "make", "grow", "read", "insert", "copy", "handle", "run", "flush",
    ];
    let random = mixed(number);
    let pick =
        |list: &[&'static str], shift: u64| list[usize::try_from((random >> shift) % list.len() as u64).unwrap_or(0)];
    let (part, verb) = (pick(&PARTS, 8), pick(&VERBS, 16));
    let (kind, function, module, file) = match random % 10 {
        0 | 1 => (
            FrameKind::Python,
            format!("{part}_{verb}_{number}"),
            format!("{part}.py"),
            format!("/srv/app/{part}.py"),
        ),
        2 => (
            FrameKind::JavaScript,
            format!("{verb}{number}"),
            "bundle.js".to_owned(),
            "/srv/app/bundle.js".to_owned(),
        ),
        3 => (
            FrameKind::Kernel,
            format!("vfs_{verb}_{number}"),
            "[kernel]".to_owned(),
            String::new(),
        ),
        4..=6 => (
            FrameKind::Native,
            format!("engine::{part}::{verb}_{number}(engine::Row const&, unsigned long)"),
            format!("lib{part}.so"),
            format!("/build/engine/{part}/{verb}.cc"),
        ),
        _ => (
            FrameKind::Native,
            format!("{part}_{verb}_{number}"),
            "service".to_owned(),
            format!("/build/service/{part}.c"),
        ),
    };
    Frame {
        function: (!random.is_multiple_of(41)).then_some(function),
        module,
        offset: number * 64,
        line: (!file.is_empty()).then_some(1 + u32::try_from(random >> 40).unwrap_or(0) % 900),
        file: (!file.is_empty()).then_some(file),
        inlined: random.is_multiple_of(13),
        kind,
    }
}

fn allocator(name: &str) -> Frame {
    Frame {
        function: Some(name.to_owned()),
        module: "libc.so.6".to_owned(),
        offset: 0x9d_0f0,
        file: None,
        line: None,
        inlined: false,
        kind: FrameKind::Native,
    }
}

/// The stack of a site, leaf first: neighbours differ near the leaf, as in a program, and some anywhere.
fn stack(site: u64, size: Size) -> Vec<u32> {
    let function = |level: u64| {
        let common = if mixed(site).is_multiple_of(size.scattered) {
            mixed(site ^ level)
        } else {
            mixed((site >> (level * 3 / 2).min(60)) ^ (level << 50))
        };
        u32::try_from(2 + common % size.functions).unwrap_or(2)
    };
    let leaf = u32::from(site % 16 == 3);
    std::iter::once(leaf).chain((0..size.depth).map(function)).collect()
}

fn site(number: u64, size: Size, times: &Arc<[Duration]>) -> Site {
    let random = mixed(number ^ 0x5157);
    let bytes = 64 + random % (4 << 20) / (1 + number / 3);
    let count = 1 + bytes / 512;
    let mapped = number % 16 == 3;
    let live = Amount { bytes, count };
    let allocated = Amount {
        bytes: bytes * (1 + random % 9),
        count: count * (1 + random % 9),
    };
    // Some grow, some come and go, most stay as they are.
    let at = |moment: u64| match number % 7 {
        0 => bytes * moment / (MOMENTS - 1),
        1 => bytes * (1 + mixed(number ^ moment) % 8) / 8,
        2 if moment < MOMENTS / 2 => bytes * 2,
        _ => bytes,
    };
    let history = (0..MOMENTS).map(|moment| {
        let last = moment + 1 == MOMENTS;
        if last { bytes } else { at(moment) }
    });
    let old = number.is_multiple_of(7);
    Site {
        op: if mapped { Op::Mmap } else { Op::Malloc },
        stack: (number < size.sites).then(|| usize::try_from(number).unwrap_or(0)),
        group: None,
        live,
        at_exit: Amount::default(),
        unknown: Amount::default(),
        allocated,
        at_peak: Some(Amount {
            bytes: bytes + random % 64,
            count,
        }),
        spread: Spread {
            temporary: (!mapped).then(|| Amount {
                bytes: allocated.bytes - bytes,
                count: allocated.count - count,
            }),
            sizes: vec![(512, allocated.count)],
            lifetimes: Vec::new(),
        },
        aged: if old {
            Amount {
                bytes: bytes / 2,
                count: count / 2,
            }
        } else {
            Amount::default()
        },
        live_variance: None,
        oldest: Some(Duration::from_millis(random % 240_000)),
        ages: Vec::new(),
        growth_bytes_per_second: 0.0,
        history: History::new(times, history),
        suspicion: None,
    }
}

/// A profile of a service with some processes, resident memory and a health that is not perfect.
pub fn profile(size: Size) -> Profile {
    let frames = [allocator("malloc"), allocator("mmap64")]
        .into_iter()
        .chain((0..size.functions).map(frame))
        .collect();
    let times = (0..MOMENTS).map(|moment| Duration::from_secs(moment * STEP)).collect();
    let sites: Vec<Site> = (0..size.sites).map(|number| site(number, size, &times)).collect();
    let sum = |amount: fn(&Site) -> Amount| sites.iter().map(amount).fold(Amount::default(), Amount::plus);
    let (live, allocated) = (sum(|site| site.live), sum(|site| site.allocated));
    let of_class = |class: Class| {
        let amounts = sites
            .iter()
            .filter(|site| site.op.class() == class)
            .map(|site| site.live);
        (class, amounts.fold(Amount::default(), Amount::plus))
    };
    let moment = |number: usize| Moment {
        at: Duration::from_secs(number as u64 * STEP),
        live_bytes: sites.iter().filter_map(|site| site.history.at(number)).sum(),
        allocated_bytes: Some(allocated.bytes / MOMENTS * (number as u64 + 1)),
        resident_bytes: number
            .is_multiple_of(4)
            .then(|| live.bytes + live.bytes / 3 + number as u64 * 100_000),
        lost: 0,
    };
    let glibc = Allocator {
        name: "glibc".to_owned(),
        path: "/usr/lib/x86_64-linux-gnu/libc.so.6".to_owned(),
        hooks: ["malloc", "free", "calloc", "realloc"].map(str::to_owned).into(),
    };
    let process = |pid: u32, part: u64| Process {
        pid,
        command: "service".to_owned(),
        executable: "/usr/bin/service".to_owned(),
        allocators: vec![glibc.clone()],
        live: Amount {
            bytes: live.bytes / part,
            count: live.count / part,
        },
        allocated: Amount {
            bytes: allocated.bytes / part,
            count: allocated.count / part,
        },
        peak_live_bytes: live.bytes / part + 4_096,
        began: (part > 2).then(|| Duration::from_secs(part)),
        ..Process::default()
    };
    let timeline = (0..usize::try_from(MOMENTS).unwrap_or(0)).map(moment).collect();
    let profile = Profile {
        target: Target {
            selection: "programs named service".to_owned(),
            pid: 4_242,
            command: "service".to_owned(),
            executable: "/usr/bin/service".to_owned(),
            build_id: None,
            allocators: vec![glibc.clone()],
            end: Some(End::Duration),
        },
        observed: Duration::from_secs(MOMENTS * STEP),
        settings: Settings {
            top: 10,
            min_age: Duration::from_secs(10),
            min_size: 4_096,
            suppressions: Suppressions::default(),
            fail_over: None,
            view: memtrace::profile::View::default(),
        },
        filter: Vec::new(),
        js_heaps: Vec::new(),
        js_shortages: Vec::new(),
        js_shortages_dropped: 0,
        totals: Totals {
            live,
            allocated,
            peak_live_bytes: live.bytes + live.bytes / 8,
            live_by_class: Class::ALL.iter().map(|&class| of_class(class)).collect(),
        },
        timeline,
        frames,
        modules: Vec::new(),
        stacks: (0..size.sites).map(|number| stack(number, size)).collect(),
        groups: Vec::new(),
        sites: Vec::new(),
        processes: vec![process(4_242, 2), process(4_250, 3), process(4_251, 6)],
        processes_dropped: 0,
        resident: Some(resident(live.bytes)),
        censuses: Vec::new(),
        health: health(allocated.count, &size),
    };
    let js_heaps = vec![js_heap::js_heap(&profile)];
    Profile {
        sites,
        js_heaps,
        ..profile
    }
    .finished()
}

/// Old objects of JavaScript, in bytes: whole pages of V8, and of a quarter of it too.
const OLD: u64 = 48 << 20;

fn resident(live: u64) -> Resident {
    let reading = |second: u64, part: u64| {
        let parts = Parts {
            live: live / part,
            held: live / 3 / part,
            mapped: 3 << 20,
            before: 9 << 20,
            stacks: 132 << 10,
            files: 21 << 20,
            js_heap: OLD / part,
            ..Parts::default()
        };
        let mut spaces = Spaces::default();
        *spaces.of_mut(Space::Old) = SpaceUse {
            pages: (OLD / part) >> 18,
            bytes: OLD / part,
            resident: OLD / part,
        };
        Reading {
            at: Duration::from_secs(second),
            rss: parts.sum(),
            pss: parts.sum() - (2 << 20),
            parts,
            processes: 3,
            heaps: 1,
            spaces,
            ..Reading::default()
        }
    };
    Resident {
        readings: vec![reading(0, 4), reading(120, 2), reading(MOMENTS * STEP, 1)],
        effort: Effort {
            times: 24,
            all: Duration::from_millis(96),
            longest: Duration::from_micros(5_250),
        },
    }
}

fn health(allocations: u64, size: &Size) -> Health {
    Health {
        events: allocations * 2,
        unmatched_frees: 12,
        process_count: 3,
        stacks: StackHealth {
            distinct: size.sites,
            broken: 3,
            ..StackHealth::default()
        },
        frames_symbolized: size.functions - size.functions / 41,
        frames_total: size.functions,
        notes: vec!["2 files have no debug information: lines of their functions are not known.".to_owned()],
        cost: Cost {
            cpu_seconds: 1.42,
            peak_memory_bytes: 82_716_800,
            bpf_seconds: 0.618,
            hits: allocations * 2,
        },
        ..Health::default()
    }
}
