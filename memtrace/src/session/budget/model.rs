//! What observing costs the targets, and which step keeps that within a budget. Pure: what was measured comes in as numbers.

/// How much is observed, dearest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::session) enum Step {
    /// Every allocation with its stack.
    Full,
    /// Stacks for a sample; every call still traps.
    Sampled,
    /// A sample of the allocations in windows, one part of so many of the time; every free.
    Bursts(u32),
    /// Mappings and the program break only, with short looks at the allocator.
    Pages,
}

impl Step {
    /// Its name in reports.
    pub(in crate::session) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Sampled => "sampled",
            Self::Bursts(_) => "bursts",
            Self::Pages => "pages",
        }
    }
}

/// All steps. Of less than a 32nd of the time too little would be seen between two changes of load.
const LADDER: [Step; 8] = [
    Step::Full,
    Step::Sampled,
    Step::Bursts(2),
    Step::Bursts(4),
    Step::Bursts(8),
    Step::Bursts(16),
    Step::Bursts(32),
    Step::Pages,
];

/// A dearer step than now must stay this far below the budget, so that a load near it does not make steps alternate.
const MARGIN: f64 = 0.75;

/// What a hit costs besides the programs' run time, in nanoseconds: the trap, and what the kernel does for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::session) struct TrapCost {
    /// On an instruction that the kernel emulates, and at the return of a function.
    pub(in crate::session) emulated_ns: f64,
    /// On one that it steps through.
    pub(in crate::session) stepped_ns: f64,
}

/// What was counted over a time in which the same probes were on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::session) struct Measured {
    pub(in crate::session) wall_ns: f64,
    /// Processor time of all targets, that of the probes in it included.
    pub(in crate::session) cpu_ns: f64,
    /// Hits of all probes on functions.
    pub(in crate::session) hits: f64,
    /// Those of functions that may give memory back.
    pub(in crate::session) giving_back: f64,
    /// Those that are stepped through.
    pub(in crate::session) stepped: f64,
    /// Run time of the programs.
    pub(in crate::session) bpf_ns: f64,
}

/// Least share of the time since that targets are taken to work: one that sleeps is not slowed down.
const LEAST_WORK: f64 = 0.01;

/// Least share of the targets' processor time that is taken to be their own, should the estimate of the cost be too high.
const LEAST_OWN: f64 = 0.02;

impl Measured {
    /// What the probes took, in nanoseconds.
    pub(in crate::session) fn cost_ns(&self, trap: TrapCost) -> f64 {
        (self.hits - self.stepped) * trap.emulated_ns + self.stepped * trap.stepped_ns + self.bpf_ns
    }

    /// Processor time that the targets had for themselves, in nanoseconds.
    pub(in crate::session) fn own_ns(&self, trap: TrapCost) -> f64 {
        (self.cpu_ns - self.cost_ns(trap))
            .max(LEAST_OWN * self.cpu_ns)
            .max(LEAST_WORK * self.wall_ns)
    }
}

/// Hits for each nanosecond of the targets' own processor time, and what one takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Model {
    trap: TrapCost,
    /// Hits of functions that only take memory.
    taking: f64,
    /// Hits of functions that may give memory back.
    giving_back: f64,
    /// Of all hits the share that is stepped through.
    stepped: f64,
    /// Run time of the programs for a hit, in nanoseconds, with every stack and without.
    full_ns: f64,
    sampled_ns: f64,
}

/// Run times on the machine that the documentation's figures are of, until they are measured here.
const FULL_NS: f64 = 450.0;
const SAMPLED_NS: f64 = 200.0;

/// With every stack the programs run at least this much longer than without.
const STACKS: f64 = 1.5;

/// What is left of an old value when there is a new one that is lower. A higher one counts at once.
const KEPT: f64 = 0.9;

impl Model {
    pub(in crate::session) const fn new(trap: TrapCost) -> Self {
        Self {
            trap,
            taking: 0.0,
            giving_back: 0.0,
            stepped: 0.0,
            full_ns: FULL_NS,
            sampled_ns: SAMPLED_NS,
        }
    }

    /// Whatever the load was, it is not known any more.
    pub(in crate::session) const fn forget(&mut self) {
        self.taking = 0.0;
        self.giving_back = 0.0;
    }

    /// Takes in what was measured at a step, with all probes on or only those on functions that may give memory back.
    pub(in crate::session) fn learn(&mut self, measured: &Measured, step: Step, all: bool) {
        let own_ns = measured.own_ns(self.trap);
        if own_ns <= 0.0 {
            return;
        }
        learn(&mut self.giving_back, measured.giving_back / own_ns);
        if all {
            learn(
                &mut self.taking,
                (measured.hits - measured.giving_back).max(0.0) / own_ns,
            );
        }
        if measured.hits > 0.0 {
            learn(&mut self.stepped, measured.stepped / measured.hits);
            if measured.bpf_ns > 0.0 {
                let place = if step == Step::Full {
                    &mut self.full_ns
                } else {
                    &mut self.sampled_ns
                };
                *place = KEPT * *place + (1.0 - KEPT) * measured.bpf_ns / measured.hits;
            }
        }
    }

    /// By how much the targets' work takes longer at a step: 0.05 is 5 %.
    pub(in crate::session) fn slowdown(&self, step: Step) -> f64 {
        let trap_ns = self.stepped * self.trap.stepped_ns + (1.0 - self.stepped) * self.trap.emulated_ns;
        let full_ns = self.full_ns.max(STACKS * self.sampled_ns);
        let (full, sampled) = (trap_ns + full_ns, trap_ns + self.sampled_ns);
        match step {
            Step::Full => (self.taking + self.giving_back) * full,
            Step::Sampled => (self.taking + self.giving_back) * sampled,
            Step::Bursts(times) => (self.taking / f64::from(times) + self.giving_back) * sampled,
            // The looks are made so rare that they keep within it.
            Step::Pages => 0.0,
        }
    }

    /// The dearest step within the budget.
    pub(in crate::session) fn choose(&self, budget: f64, now: Step) -> Step {
        let fits = |step: Step| {
            let limit = if step < now { MARGIN * budget } else { budget };
            self.slowdown(step) <= limit
        };
        LADDER.into_iter().find(|&step| fits(step)).unwrap_or(Step::Pages)
    }
}

fn learn(value: &mut f64, new: f64) {
    *value = if new > *value {
        new
    } else {
        KEPT * *value + (1.0 - KEPT) * new
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRAP: TrapCost = TrapCost {
        emulated_ns: 1000.0,
        stepped_ns: 13_000.0,
    };

    /// A second of a program that allocates and frees so often for each second of its own.
    fn measured(pairs: f64) -> Measured {
        let measured = Measured {
            wall_ns: 1e9,
            hits: 3.0 * pairs,
            giving_back: pairs,
            bpf_ns: 3.0 * pairs * SAMPLED_NS,
            ..Measured::default()
        };
        Measured {
            cpu_ns: 1e9 + measured.cost_ns(TRAP),
            ..measured
        }
    }

    fn model(pairs: f64) -> Model {
        let mut model = Model::new(TRAP);
        model.learn(&measured(pairs), Step::Sampled, true);
        model
    }

    #[test]
    fn the_more_is_allocated_the_cheaper_the_step() {
        let steps: Vec<_> = [1e3, 13e3, 20e3, 35e3, 100e3, 1e6]
            .map(|pairs| model(pairs).choose(0.05, Step::Sampled).name())
            .into();
        assert_eq!(steps, ["full", "sampled", "bursts", "bursts", "pages", "pages"]);
        // 1,200 ns for each of three hits.
        let slowdown = model(10e3).slowdown(Step::Sampled);
        assert!((slowdown - 0.036).abs() < 1e-9, "{slowdown}");
    }

    #[test]
    fn what_is_stepped_through_costs_more() {
        let mut stepped = measured(3e3);
        stepped.stepped = stepped.hits / 3.0;
        stepped.cpu_ns = 1e9 + stepped.cost_ns(TRAP);
        let mut model = Model::new(TRAP);
        model.learn(&stepped, Step::Sampled, true);
        assert!(model.slowdown(Step::Sampled) > 3.0 * self::model(3e3).slowdown(Step::Sampled));
    }

    #[test]
    fn more_load_counts_at_once_and_less_later() {
        let mut model = model(1e3);
        model.learn(&measured(1e6), Step::Sampled, true);
        assert_eq!(model.choose(0.05, Step::Sampled), Step::Pages);
        let mut checks = 0;
        while model.choose(0.05, Step::Pages) == Step::Pages {
            model.learn(&measured(1e3), Step::Sampled, true);
            checks += 1;
        }
        assert!((20..80).contains(&checks), "{checks}");
    }

    #[test]
    fn a_program_that_sleeps_is_not_slowed_down() {
        let mut model = Model::new(TRAP);
        let idle = Measured {
            wall_ns: 1e9,
            cpu_ns: 40e3,
            hits: 30.0,
            giving_back: 10.0,
            ..Measured::default()
        };
        model.learn(&idle, Step::Sampled, true);
        assert_eq!(model.choose(0.05, Step::Pages), Step::Full);
    }

    proptest! {
        #[test]
        fn a_step_within_the_budget_is_kept(pairs in 1.0..1e7_f64, budget in 0.001..1.0_f64) {
            let model = model(pairs);
            let step = model.choose(budget, Step::Full);
            prop_assert!(model.slowdown(step) <= budget);
            prop_assert_eq!(model.choose(budget, step), step, "it would alternate");
            for dearer in LADDER.into_iter().filter(|&dearer| dearer < step) {
                prop_assert!(model.slowdown(dearer) > budget);
            }
        }
    }
}
