//! What a trap costs on this machine: tried out on a child of memtrace, for it differs tenfold between machines.

use std::{
    io::{self, BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout},
    time::Instant,
};

use anyhow::Context as _;
use nix::unistd::getppid;

use super::{
    super::{own_child, tracer::Tracer},
    model::TrapCost,
};
use crate::exit::Exit;

/// The hidden verb under which memtrace runs as the child.
pub const TRIAL: &str = "trap-trial";

/// Calls of each function in a round. A trap takes 1 to 15 microseconds on virtual machines.
const CALLS: u32 = 500;

/// Rounds, of which the fastest counts: the others were disturbed.
const ROUNDS: usize = 4;

/// Hits of a call of `malloc` and one of `free`: entry, return, entry.
const HITS_OF_A_PAIR: f64 = 3.0;

/// A function that has no instruction which the kernel emulates: a number into a register, a system call, a return.
pub(in crate::session) const STEPPED: &str = "getppid";

/// Nanoseconds of a pair, and of a call of [`STEPPED`].
#[derive(Clone, Copy)]
struct Times {
    pair: f64,
    stepped: f64,
}

/// Measures.
///
/// # Errors
/// When the child cannot be started, heard or probed.
pub(super) fn trap_cost(tracer: &mut Tracer) -> anyhow::Result<TrapCost> {
    let mut child = Trial::start()?;
    let bare = child.fastest()?;
    let links = tracer.attach_trial(child.child.id())?;
    let traced = child.fastest()?;
    links.close_aside();
    let pid = child.child.id();
    drop(child);
    tracer.forget_trial(pid);
    let cost = TrapCost {
        emulated_ns: (traced.pair - bare.pair).max(0.0) / HITS_OF_A_PAIR,
        stepped_ns: (traced.stepped - bare.stepped).max(0.0),
    };
    log::info!(
        "a trap costs {:.0} ns where the kernel emulates the instruction, {:.0} ns where it steps through it",
        cost.emulated_ns,
        cost.stepped_ns
    );
    Ok(cost)
}

/// The child, seen from here.
struct Trial {
    child: Child,
    /// It ends with this.
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Trial {
    fn start() -> anyhow::Result<Self> {
        let (child, input, output) = own_child::start(TRIAL)?;
        Ok(Self {
            child,
            input,
            answers: BufReader::new(output).lines(),
        })
    }

    fn fastest(&mut self) -> anyhow::Result<Times> {
        let mut fastest = Times {
            pair: f64::INFINITY,
            stepped: f64::INFINITY,
        };
        for _ in 0..ROUNDS {
            let times = self.round()?;
            fastest.pair = fastest.pair.min(times.pair);
            fastest.stepped = fastest.stepped.min(times.stepped);
        }
        Ok(fastest)
    }

    fn round(&mut self) -> anyhow::Result<Times> {
        self.input
            .write_all(b"go\n")
            .context("failed to speak to the child that traps are tried out on")?;
        let answer = self.answers.next().context("it has ended")?;
        let answer = answer.context("failed to hear from the child that traps are tried out on")?;
        let times = answer.split_once(' ').and_then(|(pair, stepped)| {
            Some(Times {
                pair: pair.parse().ok()?,
                stepped: stepped.parse().ok()?,
            })
        });
        times.with_context(|| format!("the child that traps are tried out on said {answer:?}"))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The child: for each line it is told it calls the functions, and says how long that took.
///
/// # Errors
/// When it is not heard any more.
pub fn trial() -> anyhow::Result<Exit> {
    for line in io::stdin().lines() {
        line.context("failed to hear from memtrace")?;
        // Not zeros: those would come from `calloc`.
        let pair = nanoseconds(|| drop(std::hint::black_box(Box::new([1_u8; 64]))));
        let stepped = nanoseconds(|| {
            std::hint::black_box(getppid());
        });
        let mut output = io::stdout().lock();
        writeln!(output, "{pair} {stepped}")
            .and_then(|()| output.flush())
            .context("failed to report to memtrace")?;
    }
    Ok(Exit::Success)
}

/// How long one call takes.
fn nanoseconds(call: impl Fn()) -> f64 {
    let begun = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}
