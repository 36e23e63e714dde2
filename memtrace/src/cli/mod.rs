//! The command line: one clap definition, from which help, completions and man pages are made.

mod attach;
mod canary;
mod census;
mod diff;
mod doctor;
mod dump;
mod frames_args;
mod generate;
mod heap;
mod html;
mod output;
mod part_args;
mod record;
mod report;
mod report_args;
mod run;
mod target_args;
mod top;
mod view_args;
mod views;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::{exit::Exit, message, render::escape};

pub use self::{
    frames_args::FramesArgs,
    report_args::{Flame, Mutant, ReportArgs, Stack, Step, Windows},
    target_args::{ScopeArgs, Split},
    view_args::{
        AnnotateArgs, DiffArgs, FilterArgs, HistogramArgs, LinesArgs, MeasureArg, MeasureArgs, TimelineArgs, TreeArgs,
    },
};

const EXAMPLES: &str = "\
Examples:
  sudo memtrace attach --pid 4242                     watch until Ctrl-C, then report
  sudo memtrace attach --pid 4242 --duration 30s -o out
                                                      30 seconds; flame graph and reports in ./out
  sudo memtrace top --pid 4242                        a screen that shows it live
  sudo memtrace attach --comm nginx --split process   every nginx, also those that start later, each apart
  sudo memtrace attach --container 0123456789ab       all processes of a container
  sudo memtrace run -- ./server --port 8080           start a program and see its first allocation too
  sudo memtrace run --fail-over 0 -- ./tests          exit status 1 when anything is still live as the tests end
  sudo memtrace doctor --pid 4242                     what would work here, and what to do about the rest

Exit status: 0 done, 1 a requested check failed, 2 wrong usage or an error. `run` passes on the status of the program it ran
(128 + N when signal N ended it).";

/// See where the live bytes of a running program were allocated.
///
/// memtrace puts kernel probes (eBPF) on the allocator of a program that runs unmodified, attributes live bytes to
/// call stacks, and reports what grows. Nothing is restarted, changed or linked into the program.
#[derive(Debug, Parser)]
#[command(name = "memtrace", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    verbosity: Verbosity,
    #[command(subcommand)]
    command: Command,
}

/// How much memtrace says about its own work.
#[derive(Clone, Copy, Debug, Args)]
struct Verbosity {
    /// Say more on standard error: -v what is done, -vv details
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
enum Command {
    Attach(attach::AttachArgs),
    Run(run::RunArgs),
    Record(record::RecordArgs),
    Top(Box<top::TopArgs>),
    Report(report::ReportVerb),
    Leaks(report::LeaksVerb),
    Flamegraph(views::FlamegraphVerb),
    Html(html::HtmlVerb),
    Tree(views::TreeVerb),
    Timeline(views::TimelineVerb),
    Histogram(views::HistogramVerb),
    Lines(views::LinesVerb),
    Diff(diff::DiffVerb),
    Annotate(views::AnnotateVerb),
    Export(views::ExportVerb),
    Census(census::CensusVerb),
    Dump(dump::DumpArgs),
    Heap(heap::HeapVerb),
    Doctor(doctor::DoctorArgs),
    Generate(generate::GenerateArgs),
    #[command(name = canary::TRIAL, hide = true)]
    Trial,
    #[command(name = canary::VERB, hide = true)]
    Canary,
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// Whatever stops it, for the user to read.
    pub fn run(self) -> anyhow::Result<Exit> {
        start_log(self.verbosity);
        match self.command {
            Command::Attach(args) => args.run(),
            Command::Run(args) => args.run(),
            Command::Record(args) => args.run(),
            Command::Top(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Leaks(args) => args.run(),
            Command::Flamegraph(args) => args.run(),
            Command::Html(args) => args.run(),
            Command::Tree(args) => args.run(),
            Command::Timeline(args) => args.run(),
            Command::Histogram(args) => args.run(),
            Command::Lines(args) => args.run(),
            Command::Diff(args) => args.run(),
            Command::Annotate(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Census(args) => args.run(),
            Command::Dump(args) => args.run(),
            Command::Heap(args) => args.run(),
            Command::Doctor(args) => args.run(),
            Command::Generate(args) => args.run(),
            Command::Trial => canary::trial(),
            Command::Canary => canary::run(),
        }
    }
}

/// Messages go to standard error, warnings by default; `MEMTRACE_LOG` takes `env_logger`'s filters.
fn start_log(verbosity: Verbosity) {
    let level = match verbosity.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = format!("error,memtrace={level},memtrace_bpf=trace");
    env_logger::Builder::from_env(env_logger::Env::new().filter_or("MEMTRACE_LOG", filter))
        .target(env_logger::Target::Pipe(Box::new(message::Stream)))
        .format(|out, record| {
            use std::io::Write as _;
            // Names in it are the target's.
            let words = record.args().to_string();
            writeln!(
                out,
                "memtrace: {}: {}",
                record.level().as_str().to_lowercase(),
                escape::text(&words)
            )
        })
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn temporary_is_a_measure_for_short() {
        let parses = |args: &[&str]| Cli::try_parse_from([&["memtrace"], args].concat()).is_ok();
        for verb in [&["tree", "a"][..], &["flamegraph", "a"], &["diff", "a", "b"]] {
            assert!(parses(&[verb, &["--temporary"]].concat()), "{verb:?}");
            assert!(parses(&[verb, &["--measure", "temporary"]].concat()), "{verb:?}");
            assert!(
                !parses(&[verb, &["--temporary", "--measure", "live"]].concat()),
                "{verb:?}"
            );
        }
    }

    #[test]
    fn a_recording_is_of_targets_or_of_a_command() {
        let parses = |args: &[&str]| Cli::try_parse_from([&["memtrace", "record"], args].concat()).is_ok();
        assert!(
            parses(&["--pid", "3", "-o", "file"]) && parses(&["-o", "file", "--", "ls", "-l"]) && parses(&["--all"])
        );
        assert!(!parses(&[]) && !parses(&["--"]) && !parses(&["--pid", "3", "--", "ls"]) && !parses(&["ls"]));
    }

    #[test]
    fn readers_take_their_arguments() {
        let parses = |args: &[&str]| Cli::try_parse_from([&["memtrace"], args].concat()).is_ok();
        for verb in ["report", "leaks", "flamegraph", "html", "tree", "timeline", "histogram"] {
            assert!(
                parses(&[verb, "file", "--at", "12:03:05", "--frame", "x", "--top", "3"]),
                "{verb}"
            );
            assert!(
                !parses(&[verb]) && !parses(&[verb, "file", "--at", "1s", "--peak"]),
                "{verb}"
            );
        }
        assert!(
            parses(&["diff", "a", "b", "--before", "90s", "--after", "2min", "--top", "3"]) && !parses(&["diff", "a"])
        );
        assert!(parses(&["annotate", "file", "main.c"]) && !parses(&["annotate", "file"]));
        assert!(parses(&["export", "file", "--format", "pprof"]) && !parses(&["export", "file"]));
    }

    #[test]
    fn children_of_everything_are_always_followed() {
        let parses = |args: &[&str]| Cli::try_parse_from([&["memtrace"], args].concat()).is_ok();
        assert!(!parses(&["attach", "--all", "--no-follow"]));
        assert!(parses(&[
            "attach", "--all", "--split", "process", "--pair", "a:b", "--pair", "c:d:1*2"
        ]));
        assert!(parses(&["attach", "--pid", "3", "--no-follow", "--machine-wide"]));
        assert!(parses(&["run", "--no-follow", "--split=none", "--", "true"]));
    }
}
