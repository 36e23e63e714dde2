//! Flags that `attach` and `run` share.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{
    Args, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

use memtrace_common::limits::RING_BYTES;

use super::frames_args::FramesArgs;
use crate::render::{Measure, export::Format};

/// What to observe for how long, and what to report.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Observation and reports")]
pub struct ReportArgs {
    /// Stop after this time, for example 30s, 5min (default: until Ctrl-C or the program's end)
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Time between two updates of the live table
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "5s")]
    pub interval: Duration,
    /// Rows in tables
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// A block younger than this is never suspected, in whole seconds
    /// [default: 10s, or half of a --duration shorter than 20s]
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    pub min_age: Option<Duration>,
    /// A site with fewer suspected bytes than this is not in the leak report, for example 64KiB
    #[arg(long, value_name = "SIZE", default_value = "0")]
    pub min_size: ByteSize,
    /// Do not tell as leaks what a line of this file is about, in the syntax of `LeakSanitizer`: `leak:` and a part of the name of a
    /// function, a source file or a module of the call stack. Can be repeated
    #[arg(long, value_name = "FILE")]
    pub suppressions: Vec<PathBuf>,
    /// Tell as leaks also what the C library keeps to the end of every program
    #[arg(long)]
    pub no_default_suppressions: bool,
    /// Fail, with exit status 1, when more than SIZE has leaked or is growing, and write leaks.xml into the directory of -o: test cases as
    /// `JUnit` has them. The status of a program that `run` started comes first where it is not 0
    #[arg(long, value_name = "SIZE")]
    pub fail_over: Option<ByteSize>,
    /// Write the reports into this directory: summary.txt, leaks.txt, leaks.json, profile.json, tree.txt, lines.txt,
    /// histogram.txt, timeline.txt, flamegraph.svg, report.html, stacks.folded; with --javascript-sites also javascript.svg and
    /// javascript.folded. It is made when it does not exist
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write files for other tools into the output directory too, for example pprof,speedscope
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = export_format(), requires = "output")]
    pub export: Vec<Format>,
    /// What the flame graph, the folded stacks and the tree show, and other tools first
    #[arg(long, value_enum, default_value_t = Flame::Live)]
    pub flame: Flame,
    /// How call stacks are found
    #[arg(long, value_enum, default_value_t = Stack::Auto)]
    pub stack: Stack,
    /// Which frames of Python programs are shown.
    #[command(flatten)]
    pub frames: FramesArgs,
    /// Size of the ring buffer between kernel and memtrace, rounded up to a power of two
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize::b(u64::from(RING_BYTES)))]
    pub ring_size: ByteSize,
    /// Take a sample of the allocations, about one for each SIZE bytes allocated (rounded up to a power of two): their stacks alone
    /// are taken, and all sums are estimates with error bars. Blocks of SIZE and more are always taken, and mappings
    #[arg(long, value_name = "SIZE")]
    pub sample: Option<ByteSize>,
    /// Hold the targets' slowdown under this part of their own time, by observing less when it must be: a sample, bursts, then
    /// mappings alone. The report says what was done for how long
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub budget: Option<f64>,
    /// See every call of the allocator, whatever that costs: the default of `run` and `record -- COMMAND`, and that of `attach` for all
    /// programs but those that run `CPython` or V8, which it looks at within a budget of 5% or 2%
    #[arg(long, conflicts_with_all = ["sample", "budget"])]
    pub every_call: bool,
    /// Send every allocation and every free from the kernel, also those of blocks that are freed at once: peaks are then exact
    /// to the byte, and tracing costs more
    #[arg(long)]
    pub every_event: bool,
    /// Do not read resident memory: the kernel walks the page tables for it, some 20 ms for a GiB, and the targets' calls of `mmap`
    /// wait meanwhile
    #[arg(long)]
    pub no_resident: bool,
    /// Follow every object of Python programs (`CPython` 3.8 to 3.14) of builds that `memtrace doctor --pid` tells: each
    /// costs some microseconds, and busy programs make millions in a second. Bound it by --duration, or by windows: 100ms/10s follows for
    /// 100 ms of each 10 s, and tells what is allocated by whom, not what is live
    #[arg(long, value_name = "WINDOW/PERIOD", num_args = 0..=1, require_equals = true, value_parser = windows)]
    pub python_exact: Option<Option<Windows>>,
    /// Count the objects of Python programs (`CPython` 3.8 to 3.14) by type at the beginning and at the end, and tell what grew: it takes no
    /// probe, and a second or two for a heap of a GiB
    #[arg(long)]
    pub census: bool,
    /// Tell which functions of JavaScript (node 18, 20, 22 and 24) allocate objects, as shares of what V8 counts, by hardware watchpoints on
    /// random bytes of what is allocated next: about 100 a second for each thread at most, each a trap with a stack and two short interrupts
    #[arg(long)]
    pub javascript_sites: bool,
    /// Show the BPF side's own diagnostics on standard error
    #[arg(long)]
    pub bpf_log: bool,
    /// Unwind as on kernels before 5.17, which have no `bpf_loop`
    #[arg(long, hide = true)]
    pub old_loop: bool,
    /// Attach as on kernels before 6.10, each probe by a link of its own
    #[arg(long, hide = true)]
    pub single_links: bool,
    /// Stay at this step whatever it costs
    #[arg(long, value_enum, requires = "budget", hide = true)]
    pub step: Option<Step>,
    /// See every allocation at entry and return, also where one probe would do, to compare
    #[arg(long, hide = true)]
    pub two_traps: bool,
    /// Tell the one probe that would do something wrong, to try whether that is found: no report of such a run is worth anything
    #[arg(long, value_enum, conflicts_with = "two_traps", hide = true)]
    pub once_mutant: Option<Mutant>,
}

/// What a flame graph measures.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Flame {
    /// Bytes not yet freed
    Live,
    /// Bytes ever allocated
    Allocated,
    /// Bytes allocated and freed while it was observed
    Temporary,
}

impl From<Flame> for Measure {
    fn from(flame: Flame) -> Self {
        match flame {
            Flame::Live => Self::Live,
            Flame::Allocated => Self::Allocated,
            Flame::Temporary => Self::Temporary,
        }
    }
}

/// How much is observed under a budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Step {
    /// Every allocation
    Full,
    /// A sample
    Sampled,
    /// A sample in windows, a quarter of the time
    Bursts,
    /// Mappings, and short looks
    Pages,
}

/// What a probe is told wrong of a place where it sees a whole allocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Mutant {
    /// The register with the requested size
    Size,
    /// The register with the result
    Result,
    /// Which way the jump goes
    When,
}

/// How call stacks are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Stack {
    /// By the unwind tables of each file, and by frame pointer in code that has none
    Auto,
    /// By frame pointer alone: for programs built with frame pointers throughout
    Fp,
}

/// The formats by name, each with who reads it.
pub(super) fn export_format() -> impl TypedValueParser<Value = Format> {
    let names = Format::ALL
        .iter()
        .map(|format| PossibleValue::new(format.name).help(format.about));
    PossibleValuesParser::new(names).try_map(|name| Format::named(&name).ok_or("there is no such format"))
}

/// Ages are compared in whole seconds, so a fraction would promise what is not kept.
pub(super) fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.subsec_nanos() != 0 {
        return Err("the age is in whole seconds: 1s, 90s, 5min".to_owned());
    }
    Ok(duration)
}

/// Parts of the time in which something is followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Windows {
    /// How long each is.
    pub each: Duration,
    /// From the beginning of one to that of the next, on average.
    pub period: Duration,
}

/// The least length of a window: putting probes on and taking them off takes a tenth of a second.
const LEAST_WINDOW: Duration = Duration::from_millis(10);

/// `100ms/10s`.
fn windows(text: &str) -> Result<Windows, String> {
    let (each, period) = text
        .split_once('/')
        .ok_or("it is the length of a window and the time from one to the next: 100ms/10s")?;
    let time = |text: &str| humantime::parse_duration(text).map_err(|error| error.to_string());
    let (each, period) = (time(each)?, time(period)?);
    if each < LEAST_WINDOW {
        return Err("a window is 10ms or longer".to_owned());
    }
    if period < 2 * each || period > Duration::from_hours(1) {
        return Err("the time from one window to the next is twice its length or more, and an hour at most".to_owned());
    }
    Ok(Windows { each, period })
}

/// `5%` as 0.05.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').ok_or("it is a percentage: 5%, 0.5%")?;
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_error| format!("{number:?} is no number"))?;
    if (0.1..=100.0).contains(&number) {
        Ok(number / 100.0)
    } else {
        Err("it must be from 0.1% to 100%".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_percentages() {
        assert_eq!(percent("5%"), Ok(0.05));
        assert_eq!(percent("0.5 %"), Ok(0.005));
        for wrong in ["5", "%", "0%", "-3%", "101%", "NaN%", "inf%"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn windows_are_parts_of_the_time() {
        let parsed = windows("100ms/10s").unwrap();
        assert_eq!((parsed.each.as_millis(), parsed.period.as_secs()), (100, 10));
        for wrong in ["100ms", "1ms/10s", "10s/10s", "100ms/2h", "/", "a/b"] {
            assert!(windows(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ages_are_whole_seconds() {
        assert_eq!(whole_seconds("90s"), Ok(Duration::from_secs(90)));
        assert!(whole_seconds("500ms").is_err());
        assert!(whole_seconds("soon").is_err());
    }
}
