//! Has it checked, in the first calls after probes are on, that one probe sees allocations as they are.
//!
//! A hook is checked in one process at a time, for what is proven of it is proven of its file's bytes; and in a process once, so that no
//! call is on record from an earlier check.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use memtrace_common::check::{Checked, Next};

use super::{Hooks, analyses::Analysed};
use crate::{
    plan::{AttachPoint, Checking, Kind},
    probe::{Checks as Map, Links, On, ProbeError, Probes, Scope},
    process::Module,
};

/// How long a hook is checked at most: until then, a program that calls the allocator rarely pays for more probes.
const LONGEST: Duration = Duration::from_secs(10);

/// How often it is looked what came of it: until then a busy program pays for more probes, and wrong allocations are taken for right.
const PAUSE: Duration = Duration::from_millis(20);

/// A check of one hook that is on.
struct Running {
    /// The program that it is on for; `None` for all.
    incarnation: Option<u32>,
    /// The hook's number.
    hook: u32,
    since: Instant,
    links: Stages,
}

/// The probes of a check in the order in which they are taken off: those that judge a return, those at the jumps to the slow part, which
/// may judge a call that somebody has seen already, and those that put calls on record.
type Stages = [Links; 3];

/// All checks.
pub(super) struct Checks {
    counts: Map,
    running: Vec<Running>,
}

impl Checks {
    pub(super) fn new(probes: &mut Probes) -> Result<Self, ProbeError> {
        Ok(Self {
            counts: probes.checks()?,
            running: Vec::new(),
        })
    }

    /// How long until it must be looked again what came of them; `None` when none is on.
    pub(super) fn next_look(&self) -> Option<Duration> {
        (!self.running.is_empty()).then_some(PAUSE)
    }

    /// A program goes on as another in the same process.
    pub(super) fn goes_on_as(&mut self, old: u32, new: u32) {
        for running in &mut self.running {
            if running.incarnation == Some(old) {
                running.incarnation = Some(new);
            }
        }
    }

    /// A program is gone, and its calls with it.
    pub(super) fn ended(&mut self, incarnation: u32) {
        let gone = |running: &mut Running| running.incarnation == Some(incarnation);
        for running in self.running.extract_if(.., gone) {
            together(running.links).close_aside();
        }
    }

    /// All links, to be closed when the observation is over.
    pub(super) fn into_links(self) -> Links {
        let mut links = Links::default();
        for running in self.running {
            links.append(together(running.links));
        }
        links
    }

    /// Whether a hook is still to be checked, and is not.
    fn wants(&self, hook: u32) -> bool {
        self.running.iter().all(|running| running.hook != hook) && self.next(hook, false) == Next::GoOn
    }

    fn next(&self, hook: u32, is_over: bool) -> Next {
        self.counts.of(hook).next(is_over)
    }
}

impl Hooks {
    /// Begins to check a file whose probes were just put on. What cannot be checked is not: that is no reason not to observe.
    pub(super) fn check(&mut self, file: &Analysed, module: &Module, scope: Scope, incarnation: u32) {
        // What one probe does not see while it is off is no mistake of it; and a process whose main thread has ended was checked before.
        if self.two_traps || self.on != On::All || matches!(scope, Scope::Thread(_)) {
            return;
        }
        let mut hooks: BTreeMap<u32, Vec<(AttachPoint, u16)>> = BTreeMap::new();
        for (point, number) in &file.checks {
            hooks
                .entry(u32::from(*number))
                .or_default()
                .push((point.clone(), *number));
        }
        for (hook, points) in hooks {
            if !self.checks.wants(hook) {
                continue;
            }
            match self.put_check_on(hook, points, module, scope) {
                Ok(links) => self.checks.running.push(Running {
                    incarnation: (scope != Scope::Machine).then_some(incarnation),
                    hook,
                    since: Instant::now(),
                    links,
                }),
                Err(error) => log::info!(
                    "one trap for an allocation is not checked in {}: {error:#}",
                    module.name
                ),
            }
        }
    }

    fn put_check_on(
        &mut self,
        hook: u32,
        points: Vec<(AttachPoint, u16)>,
        module: &Module,
        scope: Scope,
    ) -> anyhow::Result<Stages> {
        self.checks.counts.begin(hook)?;
        let mut by_stage: [Vec<_>; 3] = Default::default();
        for point in points {
            by_stage[stage(&point.0)].push(point);
        }
        let [judges, slow, enter] = by_stage;
        // A call on record needs all that may answer, and is judged only when it was on record from its beginning.
        let mut stages = Stages::default();
        for (at, points) in [(1, slow), (2, enter), (0, judges)] {
            match self.attach_points(&points, module, scope) {
                Ok(links) => stages[at] = links,
                Err(error) => {
                    take_off(stages);
                    return Err(error);
                }
            }
        }
        Ok(stages)
    }

    /// Looks what came of checks.
    pub(super) fn look_at_checks(&mut self) {
        let checks = &self.checks;
        let next = |running: &Running| checks.next(running.hook, running.since.elapsed() >= LONGEST);
        let due: Vec<_> = checks.running.iter().map(next).collect();
        if due.contains(&Next::GiveUp) {
            self.give_up_one_trap();
        } else if due.contains(&Next::End) {
            let mut due = due.into_iter();
            self.end(|_| due.next() == Some(Next::End));
        }
    }

    /// Ends checks, by the program that they are for.
    pub(super) fn end_checks(&mut self, which: impl Fn(Option<u32>) -> bool) {
        self.end(|running| which(running.incarnation));
    }

    fn end(&mut self, mut which: impl FnMut(&Running) -> bool) {
        let ended: Vec<_> = self.checks.running.extract_if(.., |running| which(running)).collect();
        if ended.is_empty() {
            return;
        }
        let mut stages = Stages::default();
        let mut hooks = Vec::new();
        for running in ended {
            for (all, links) in stages.iter_mut().zip(running.links) {
                all.append(links);
            }
            hooks.push((running.hook, running.since.elapsed()));
        }
        take_off(stages);
        let mut give_up = false;
        for (hook, took) in hooks {
            let Checked { calls, wrong } = self.checks.counts.of(hook);
            log::info!(
                "hook {hook} was checked for {} ms: {calls} calls by one trap, {wrong} wrong",
                took.as_millis()
            );
            // The last ones may have shown it.
            give_up |= wrong > 0;
        }
        if give_up {
            self.give_up_one_trap();
        }
    }
}

/// Each stage is gone before the next.
fn take_off(stages: Stages) {
    for links in stages {
        if !links.is_empty() {
            links.close();
        }
    }
}

fn together(stages: Stages) -> Links {
    let mut links = Links::default();
    for stage in stages {
        links.append(stage);
    }
    links
}

/// The stage of a probe.
const fn stage(point: &AttachPoint) -> usize {
    match point.kind {
        Kind::Check(Checking::Return | Checking::Leave) => 0,
        Kind::Check(Checking::Slow) => 1,
        _ => 2,
    }
}
