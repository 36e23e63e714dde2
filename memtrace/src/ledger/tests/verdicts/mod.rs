//! Verdicts on lives that are known, through the ledger as collection does it, and how often they are right.

mod healthy;
mod leaking;
mod lives;

use std::time::Duration;

use memtrace_common::{
    Op,
    event::{Alloc, Free, Header},
};

use self::{
    healthy::{HARD_HEALTHY, HEALTHY},
    leaking::{HARD_LEAKS, LEAKS},
    lives::{Draw, Life, Random},
};
use crate::{
    decode::Event,
    ledger::{Ledger, Limits},
    profile::{Site, Verdict, fixture, fixture::SiteSpec, growth},
    units::whole,
};

/// Draws of each kind.
const DRAWS: u64 = 40;
/// Nanoseconds between two samples, as an observation takes them.
const SAMPLE_NS: u64 = 250_000_000;

fn header(op: Op, time_ns: u64) -> Header {
    Header {
        kind: 0,
        op: op as u8,
        flags: 0,
        pid: 1,
        tid: 1,
        incarnation: 1,
        time_ns,
    }
}

/// What the ledger makes of these lives after so many seconds, as a site with its verdict.
fn observe(lives: &[Life], seconds: f64) -> Site {
    let ns = |seconds: f64| whole(seconds * 1e9);
    let mut events = Vec::with_capacity(2 * lives.len());
    for (address, life) in (1_u64..).zip(lives) {
        let address = address << 12;
        let alloc = Alloc {
            header: header(Op::Malloc, ns(life.birth)),
            address,
            size: life.size,
            stack: 0,
        };
        // A buffer that is replaced is freed after the new one was allocated.
        events.push((ns(life.birth), 0, Event::Alloc(alloc)));
        if life.death < seconds {
            let free = Free {
                header: header(Op::Free, ns(life.death)),
                address,
            };
            events.push((ns(life.death), 1, Event::Free(free)));
        }
    }
    events.sort_by_key(|&(time, order, _)| (time, order));
    let mut ledger = Ledger::new(Limits::default());
    let end = ns(seconds);
    let mut sampled = 0;
    let mut sample_until = |ledger: &mut Ledger, time: u64| {
        while sampled + SAMPLE_NS <= time {
            sampled += SAMPLE_NS;
            ledger.sample(sampled);
        }
    };
    for (time, _, event) in &events {
        sample_until(&mut ledger, *time);
        ledger.apply(event);
    }
    sample_until(&mut ledger, end);
    let snapshot = ledger.snapshot(0, end, fixture::settings().min_age);
    let facts = (snapshot.sites.into_iter().find(|site| site.op == Op::Malloc)).expect("something was allocated");
    let mut spec = SiteSpec::new(Op::Malloc);
    spec.site = Site {
        live: facts.live,
        allocated: facts.allocated,
        spread: facts.spread,
        aged: facts.aged,
        oldest: facts.oldest,
        ages: facts.ages,
        history: facts.history,
        ..spec.site
    };
    // Others have most of the memory, so that a share says little.
    let mut profile = fixture::profile([spec, SiteSpec::new(Op::Mmap).live(1 << 30, 1)]);
    profile.observed = Duration::from_secs_f64(seconds);
    let profile = profile.finished();
    (profile.sites.into_iter().find(|site| site.op == Op::Malloc)).expect("it is there")
}

/// Rules, by their names.
type Rule = fn(&Site) -> bool;

const RULES: [(&str, Rule); 4] = [
    ("verdict growing", |site| {
        (site.suspicion.as_ref()).is_some_and(|suspicion| suspicion.verdict == Verdict::Growing)
    }),
    ("score of 50 and more", |site| {
        (site.suspicion.as_ref()).is_some_and(|suspicion| suspicion.score >= 50)
    }),
    // The rule of memleak of bcc, with this age.
    ("older than 10 s", |site| site.aged.count > 0),
    ("a rising line that fits", |site| {
        growth::line(&site.history.points()).is_some_and(|line| line.bytes_per_second > 0.0 && line.fit >= 0.6)
    }),
];

/// How often each rule suspects a kind.
fn suspected(draw: Draw, kind: u64) -> [u32; RULES.len()] {
    let mut counts = [0; RULES.len()];
    for number in 0..DRAWS {
        let mut random = Random::new(1000 * kind + number + 1);
        // Forty seconds to half an hour, short ones as often as long ones.
        let seconds = 40.0 * random.between(0.0, 1.0).mul_add(3.8, 0.0).exp();
        let site = observe(&draw(&mut random, seconds), seconds);
        for (count, (_, rule)) in counts.iter_mut().zip(RULES) {
            *count += u32::from(rule(&site));
        }
    }
    counts
}

/// How often each rule was right.
#[derive(Default)]
struct Tally {
    hits: [u32; RULES.len()],
    alarms: [u32; RULES.len()],
    leaks: u64,
}

impl Tally {
    fn precision(&self, rule: usize) -> f64 {
        f64::from(self.hits[rule]) / f64::from(self.hits[rule] + self.alarms[rule])
    }

    fn recall(&self, rule: usize) -> f64 {
        f64::from(self.hits[rule]) / (self.leaks * DRAWS) as f64
    }
}

/// Judges all kinds and prints the figures.
fn tally(leaks: Kinds<'_>, healthy: Kinds<'_>) -> Tally {
    let mut tally = Tally {
        leaks: leaks.len() as u64,
        ..Tally::default()
    };
    println!("of {DRAWS} draws each: {}", RULES.map(|(name, _)| name).join(", "));
    for (first, kinds, sums) in [(100, leaks, &mut tally.hits), (0, healthy, &mut tally.alarms)] {
        for (kind, (name, draw)) in (first..).zip(kinds) {
            let counts = suspected(*draw, kind);
            println!("{} {name:<42} {counts:?}", if first > 0 { "leak" } else { "fine" });
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    for (rule, (name, _)) in RULES.iter().enumerate() {
        println!(
            "{name}: precision {:.3}, recall {:.3}",
            tally.precision(rule),
            tally.recall(rule)
        );
    }
    tally
}

type Kinds<'a> = &'a [(&'a str, Draw)];

#[test]
fn leaks_are_told_from_what_only_looks_like_them() {
    let found = tally(LEAKS, HEALTHY);
    assert!(found.precision(0) >= 0.97 && found.recall(0) >= 0.97, "the verdict");
    assert!(found.precision(1) >= 0.97 && found.recall(1) >= 0.95, "the score");
    let better = found.precision(0) - found.precision(2);
    assert!(
        better > 0.2 && found.precision(0) - found.precision(3) > 0.1,
        "worth its price"
    );
}

#[test]
fn at_the_edge_it_is_right_more_often_than_the_age_alone() {
    let found = tally(HARD_LEAKS, HARD_HEALTHY);
    assert!(found.precision(0) >= 0.65 && found.recall(0) >= 0.3, "the verdict");
    assert!(found.precision(0) > found.precision(2) + 0.1 && found.precision(0) > found.precision(3) + 0.1);
}
