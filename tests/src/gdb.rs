//! Call stacks of a running process as gdb sees them, while memtrace observes the same process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use crate::{
    Frame, Program, Report, programs,
    stacks::{excerpt, physical},
};

/// When a gdb that is stuck is killed. It then leaves its breakpoints in the target, which dies of them.
const KILL_AFTER: &str = "100";

/// Distinct stacks after which it is enough.
const WANTED: u32 = 300;

/// Stops after which it is enough whatever they showed.
const MOST: u32 = 3000;

/// A gdb that stops a process wherever it calls an allocator.
pub struct Gdb {
    process: Program,
    target: u32,
}

/// A call of an allocator: the function's name, and the frames that called it, leaf first.
pub type Call = (String, Vec<Frame>);

impl Gdb {
    /// Attaches to a process and waits until its breakpoints are in place.
    pub fn attach(target: u32) -> Self {
        let script = programs::source("gdb_stacks.py");
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", KILL_AFTER, "gdb", "-q", "-batch", "-nx"]);
        command.args(["-iex", "set auto-load no", "-iex", "set debuginfod enabled off"]);
        command.args(["-p", &target.to_string()]);
        command.args([
            "-ex",
            &format!("set $wanted = {WANTED}"),
            "-ex",
            &format!("set $most = {MOST}"),
        ]);
        let process = Program::spawn(command.arg("-x").arg(script));
        process.expect("armed");
        Self { process, target }
    }

    /// Works the target until gdb has seen enough; the distinct calls, in files as they are mapped now.
    pub fn watch(mut self, mut work: impl FnMut()) -> BTreeSet<Call> {
        while self.process.status().is_none() && !self.process.output().contains("\nstopped ") {
            work();
        }
        let (status, output) = self.process.wait();
        let stops = self.process.expect("stopped ");
        assert!(status.success(), "gdb ended with {status}: {}", self.process.errors());
        let mappings = Mappings::of(self.target);
        let lines = output.lines().filter_map(|line| line.strip_prefix("stack "));
        let calls: BTreeSet<Call> = lines
            .map(|line| {
                let mut words = line.split(' ');
                let function = words.next().unwrap_or("").to_owned();
                let address = |word: &str| u64::from_str_radix(word, 16).unwrap_or_else(|_| panic!("{line}"));
                (function, words.map(|word| mappings.frame(address(word))).collect())
            })
            .collect();
        println!("gdb: {stops} stops, {} distinct stacks", calls.len());
        assert!(calls.len() > 2, "gdb saw too few stacks: {output}");
        calls
    }
}

/// The stacks of all threads of a process, stopped for it at one moment: frames leaf first, by thread.
pub fn threads(target: u32) -> BTreeMap<u32, Vec<Frame>> {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", KILL_AFTER, "gdb", "-q", "-batch", "-nx"]);
    command.args(["-iex", "set auto-load no", "-iex", "set debuginfod enabled off"]);
    command.args(["-p", &target.to_string(), "-x"]);
    let mut process = Program::spawn(command.arg(programs::source("gdb_threads.py")));
    process.close();
    let (status, output) = process.wait();
    assert!(status.success(), "gdb ended with {status}: {}", process.errors());
    let mappings = Mappings::of(target);
    let lines = output.lines().filter_map(|line| line.strip_prefix("thread "));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let tid = words
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or_else(|| panic!("{line}"));
            let address = |word: &str| u64::from_str_radix(word, 16).unwrap_or_else(|_| panic!("{line}"));
            (tid, words.map(|word| mappings.frame(address(word))).collect())
        })
        .collect()
}

/// Executable memory of a process.
struct Mappings(Vec<(std::ops::Range<u64>, u64, Option<String>)>);

impl Mappings {
    fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the target's mappings can be read");
        let number = |text: &str| u64::from_str_radix(text, 16).expect("a number in maps");
        let mappings = text.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (start, end) = fields[0].split_once('-')?;
            let name = fields.get(5).filter(|name| name.starts_with('/'));
            let name = name.and_then(|path| path.rsplit('/').next()).map(str::to_owned);
            Some((number(start)..number(end), number(fields[2]), name))
        });
        Self(mappings.collect())
    }

    /// Code that is in no file has its address for an offset.
    fn frame(&self, address: u64) -> Frame {
        let found = self.0.iter().find(|(range, ..)| range.contains(&address));
        match found {
            Some((range, offset, Some(name))) => Frame {
                module: name.clone(),
                offset: address - range.start + offset,
            },
            Some((_, _, None)) => Frame {
                module: "[anon]".into(),
                offset: address,
            },
            None => Frame {
                module: "[unmapped]".into(),
                offset: address,
            },
        }
    }
}

/// Whether stacks are equal from the leaf on, and how far. gdb knows no frames of Python, which are left out before, and none of JavaScript: these
/// are in the place of the code that executes them.
fn agree(reported: &[Frame], seen: &[Frame]) -> usize {
    let equal = |(reported, seen): &(&Frame, &Frame)| reported == seen || reported.module == "[javascript]";
    reported.iter().zip(seen).take_while(equal).count()
}

/// Asserts that memtrace reports each call that gdb saw, with the very same frames.
pub fn assert_reported(report: &Report, calls: &BTreeSet<Call>) {
    let reported: BTreeSet<Call> = report
        .rows()
        .iter()
        .map(|row| {
            let frames = physical(row).into_iter().map(|(frame, _)| frame);
            let native = frames.filter(|frame| frame.module != "[python]").skip(1);
            (row["op"].as_str().unwrap_or("").to_owned(), native.collect())
        })
        .collect();
    let is_reported = |call: &Call| {
        let equal = |other: &Call| {
            other.0 == call.0 && other.1.len() == call.1.len() && agree(&other.1, &call.1) == call.1.len()
        };
        reported.contains(call) || reported.iter().any(equal)
    };
    let missing: Vec<&Call> = calls.iter().filter(|call| !is_reported(call)).collect();
    let deepest = calls.iter().map(|call| call.1.len()).max();
    println!(
        "{} stacks of gdb, up to {} frames; memtrace reports {} of them, and {} in all",
        calls.len(),
        deepest.unwrap_or(0),
        calls.len() - missing.len(),
        reported.len()
    );
    for call in missing.iter().take(3) {
        let equal = |other: &Call| agree(&other.1, &call.1);
        let same_function = reported.iter().filter(|other| other.0 == call.0);
        let nearest = same_function.max_by_key(|other| equal(other));
        let at = nearest.map_or(0, equal);
        let show = |frames: &[Frame]| excerpt(frames, at, ToString::to_string).join(" ");
        println!("  {}: {at} frames are right of {}", call.0, call.1.len());
        println!("    gdb      {}", show(&call.1));
        println!(
            "    memtrace {}",
            nearest.map_or(String::new(), |nearest| show(&nearest.1))
        );
    }
    assert!(missing.is_empty(), "{} stacks of gdb are not reported", missing.len());
}
