//! What was written at each moment is what is read of it.

use std::{io::Cursor, time::Duration};

use memtrace_common::{
    Op,
    event::{Alloc, Free, Header, JsShortage, Kind},
    v8_heap::shortage::WORDS,
};
use proptest::prelude::*;

use super::{
    Contents, End, ModuleFacts, ReadError, Series, Session, Start, block,
    content::{self, Sums},
    names,
};
use crate::{
    decode::Event,
    ledger::{CallStack, Ledger, Limits, SiteKey, SiteSums},
    process::Location,
    profile::{Frame, FrameKind, JsShortage as Shortage, Target},
};

const PID: u32 = 7;
const INCARNATION: u32 = 1;

pub(super) fn start() -> Start {
    Start {
        memtrace: "1".to_owned(),
        host: "machine".to_owned(),
        kernel: "6".to_owned(),
        architecture: "x86_64".to_owned(),
        command_line: Vec::new(),
        began_unix_ns: 0,
        utc_offset_seconds: 0,
        started_ns: 0,
        target: Target {
            selection: String::new(),
            pid: PID,
            command: "program".to_owned(),
            executable: "/program".to_owned(),
            build_id: None,
            allocators: Vec::new(),
            end: None,
        },
        min_age: Duration::from_secs(1),
        counters: Vec::new(),
        by_tables: true,
        sampling: None,
    }
}

/// A file under construction, and what must be read of it.
struct World {
    file: Vec<u8>,
    ledger: Ledger,
    series: Series,
    now_ns: u64,
    moments: Vec<Truth>,
}

/// What the ledger knew at a moment.
struct Truth {
    time_ns: u64,
    keys: Vec<SiteKey>,
    sums: Vec<SiteSums>,
    stacks: Vec<CallStack>,
    shortages: (Vec<Shortage>, u64),
}

#[derive(Clone, Debug)]
enum Step {
    Alloc { stack: u8, size: u32, address: u8 },
    Free { address: u8 },
    Shortage { stack: u8, what: u32 },
    Moment,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            file: block::file_head().to_vec(),
            ledger: Ledger::new(Limits::default()),
            series: Series::default(),
            now_ns: 0,
            moments: Vec::new(),
        };
        world.ledger.seed(PID, INCARNATION, None);
        world.write(vec![(content::START, content::pack_json(&start()).unwrap())]);
        world
    }

    fn write(&mut self, contents: Contents) {
        for (kind, content) in contents {
            self.file.extend(block::encode(kind, self.now_ns, &content).unwrap());
        }
    }

    fn step(&mut self, step: &Step) {
        self.now_ns += 1000;
        let header = |kind: Kind| Header {
            kind: kind as u8,
            op: Op::Malloc as u8,
            flags: 0,
            pid: PID,
            tid: PID,
            incarnation: INCARNATION,
            time_ns: self.now_ns,
        };
        match *step {
            Step::Alloc { stack, size, address } => {
                // Stacks with common callers and of any depth.
                let locations = (0..=stack % 5).map(|level| Location {
                    module: u32::from(level % 2),
                    address: u64::from(stack >> level) * 16,
                });
                let known = CallStack {
                    locations: locations.collect(),
                    whole: stack.is_multiple_of(3),
                };
                let id = u64::from(stack) + 1;
                self.ledger.add_stack(PID, INCARNATION, id, id, known);
                self.ledger.apply(&Event::Alloc(Alloc {
                    header: header(Kind::Alloc),
                    address: u64::from(address) * 64 + 4096,
                    size: size.into(),
                    stack: id,
                }));
            }
            Step::Free { address } => self.ledger.apply(&Event::Free(Free {
                header: header(Kind::Free),
                address: u64::from(address) * 64 + 4096,
            })),
            Step::Shortage { stack, what } => self.ledger.apply(&Event::JsShortage(JsShortage {
                header: header(Kind::JsShortage),
                stack: u64::from(stack) + 1,
                limit: self.now_ns,
                what,
                reserved: 0,
                words: [b'w'; WORDS],
            })),
            Step::Moment => self.moment(),
        }
    }

    fn moment(&mut self) {
        let modules = vec![ModuleFacts::default(); if self.series.modules() == 0 { 2 } else { 0 }];
        let news = self.series.news(&self.ledger, &modules, &[], &[]).unwrap();
        self.write(news);
        let (live, allocated) = self.ledger.memory_sums();
        let sums = Sums {
            live,
            allocated,
            alive: 1,
            ..Sums::default()
        };
        let facts = self.ledger.process_facts();
        let moment = self
            .series
            .moment(self.ledger.site_sums(), &facts, Vec::new(), &sums)
            .unwrap();
        self.write(moment);
        if self.moments.len().is_multiple_of(3) {
            let snapshot = self.ledger.snapshot(0, self.now_ns, Duration::ZERO);
            let details = self.series.details(&snapshot, self.now_ns).unwrap();
            self.write(details);
        }
        self.moments.push(Truth {
            time_ns: self.now_ns,
            keys: self.ledger.site_keys(0).collect(),
            sums: self.ledger.site_sums().collect(),
            stacks: (0..)
                .map_while(|number| self.ledger.stacks.get(number).cloned())
                .collect(),
            shortages: self.ledger.js_shortages.shortages(0),
        });
    }

    fn check(truth: &Truth, session: &mut Session<Cursor<&[u8]>>) {
        let state = session.state_at(truth.time_ns + 1, |_| ()).unwrap().unwrap();
        assert_eq!(state.time_ns, truth.time_ns);
        assert_eq!(state.keys, truth.keys);
        assert!(state.site_sums().eq(truth.sums.iter().copied()));
        for (number, stack) in (0..).zip(&truth.stacks) {
            assert_eq!(&state.stack(number), stack);
        }
        assert_eq!(state.js_shortages.shortages(0), truth.shortages);
        let (live, _) = truth.sums.iter().fold((0, 0), |(bytes, count), sums| {
            (bytes + sums.live.bytes, count + sums.live.count)
        });
        assert_eq!(state.totals.live.bytes, live);
        assert_eq!(state.processes[&INCARNATION].live.bytes, live);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (any::<u8>(), 0..100_000_u32, any::<u8>()).prop_map(|(stack, size, address)| Step::Alloc { stack, size, address }),
        3 => any::<u8>().prop_map(|address| Step::Free { address }),
        1 => (any::<u8>(), 1..5_u32).prop_map(|(stack, what)| Step::Shortage { stack, what }),
        1 => Just(Step::Moment),
    ]
}

proptest! {
    #[test]
    fn every_moment_is_read_as_it_was(steps in prop::collection::vec(step(), 0..200), cut in any::<prop::sample::Index>()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.step(&Step::Moment);
        let mut session = Session::open(Cursor::new(world.file.as_slice())).unwrap();
        prop_assert!(session.outline.cut.is_none());
        prop_assert_eq!(session.outline.moments.len(), world.moments.len());
        for truth in &world.moments {
            World::check(truth, &mut session);
        }
        prop_assert!(session.state_at(0, |_| ()).unwrap().is_none());
        // Of a file that is cut off anywhere, every moment that is told of is right.
        let length = cut.index(world.file.len());
        match Session::open(Cursor::new(&world.file[..length])) {
            Ok(mut session) => {
                let known = session.outline.moments.len();
                for truth in &world.moments[..known] {
                    World::check(truth, &mut session);
                }
            }
            Err(error) => prop_assert!(matches!(error, ReadError::NoStart | ReadError::CutOff(_) | ReadError::Empty), "{error}"),
        }
    }
}

#[test]
fn names_and_the_end_are_read() {
    let mut world = World::new();
    world.step(&Step::Moment);
    let frame = |function: Option<&str>| Frame {
        function: function.map(str::to_owned),
        module: "libc.so.6".to_owned(),
        offset: 9,
        file: function.map(|name| format!("{name}.c")),
        line: Some(3),
        inlined: false,
        kind: FrameKind::Native,
    };
    let all = [Some("a"), None, Some("ü\0"), Some("a")].map(frame);
    let at = |address| Location { module: 0, address };
    world.write(names((1..).map(at).zip(all.iter().map(|frame| vec![frame.clone(); 2]))).unwrap());
    let end = End {
        now_ns: 5,
        end: Some(crate::profile::End::Exited(Some("exit status: 0".to_owned()))),
        sampling: None,
        budget: None,
        notes: vec!["a note".to_owned()],
        bpf_seconds: 0.5,
        resident_effort: crate::profile::resident::Effort::default(),
    };
    world.write(vec![(content::END, content::pack_json(&end).unwrap())]);
    let mut session = Session::open(Cursor::new(world.file.as_slice())).unwrap();
    let read = session.outline.end.as_ref().unwrap();
    assert_eq!((&read.end, &read.notes), (&end.end, &end.notes));
    let blocks = session.names().unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].frames.len(), 3);
    assert_eq!(blocks[0].strings, ["a", "libc.so.6", "a.c", "ü\0", "ü\0.c"]);
}

#[test]
fn a_block_that_refers_to_nothing_is_damage() {
    let bad = [
        (
            content::SITES,
            content::pack(&content::NewSites {
                ops: vec![1],
                stacks: vec![9],
                groups: vec![0],
            }),
        ),
        (
            content::SITES,
            content::pack(&content::NewSites {
                ops: vec![255],
                stacks: vec![0],
                groups: vec![0],
            }),
        ),
        (
            content::CHANGES,
            content::pack(&content::Changes {
                sites: vec![u32::MAX],
                masks: vec![1],
                by: vec![1],
            }),
        ),
        (
            content::STACKS,
            content::pack(&content::NewStacks {
                leaves: vec![3],
                whole: vec![true],
                ..content::NewStacks::default()
            }),
        ),
        (
            content::STACKS,
            content::pack(&content::NewStacks {
                back: vec![2],
                modules: vec![0],
                addresses: vec![0],
                ..content::NewStacks::default()
            }),
        ),
        (content::DETAIL, Ok(vec![0xff; 40])),
    ];
    for (kind, content) in bad {
        let mut world = World::new();
        world.write(vec![(kind, content.unwrap())]);
        world.step(&Step::Moment);
        let mut session = Session::open(Cursor::new(world.file.as_slice())).unwrap();
        let error = session.state_at(u64::MAX, |_| ()).unwrap_err();
        assert!(matches!(error, ReadError::Damaged(_)), "{error}");
    }
}
