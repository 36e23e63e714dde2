//! The last part of every text: how far the numbers can be trusted, and what they cost.

use std::{
    io::{self, Write},
    iter,
    time::Duration,
};

use crate::{
    profile::{Budget, Health, Profile, Sampling},
    units::{self, bytes, count, duration, percent, plural},
};

use super::{
    escape,
    label::{fact, fitting_fact},
    layout::{COLUMNS, wrap},
    processes,
};

/// Writes the health lines; the first is the verdict.
pub(super) fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let health = &profile.health;
    let verdict = format!("Health: {}", health.accuracy().summary);
    for (indent, line) in iter::once(0).chain(iter::repeat(8)).zip(wrap(&verdict, COLUMNS - 8)) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    writeln!(out, "{}", fact("observed", &duration(profile.observed)))?;
    if profile.is_of_many() {
        let mut before = "";
        for (name, value) in processes::hooks(profile) {
            writeln!(out, "{}", fitting_fact(if name == before { "" } else { name }, &value))?;
            before = name;
        }
    }
    for (name, value) in facts(profile) {
        writeln!(out, "{}", fact(name, &value))?;
    }
    Ok(())
}

/// What is known of how the observation went: name and value of each line after the verdict and what was hooked.
pub(super) fn facts(profile: &Profile) -> Vec<(&'static str, String)> {
    let health = &profile.health;
    let mut facts = Vec::new();
    if let Some(sampling) = &health.sampling {
        facts.push(("sample", sample(sampling)));
    }
    if let Some(kept) = &health.budget {
        facts.push(("budget", budget(kept)));
    }
    facts.extend([
        ("events", count(health.events)),
        ("lost", lost(health)),
        ("unmatched", unmatched(health)),
        ("conflicts", conflicts(health)),
        ("stacks", stacks(health)),
        ("symbols", symbols(health)),
        ("own cost", cost(profile)),
    ]);
    if !health.counters.is_empty() {
        let counters = health
            .counters
            .iter()
            .map(|(name, value)| format!("{} {}", escape::text(name), count(*value)));
        facts.push(("counters", counters.collect::<Vec<_>>().join(", ")));
    }
    facts.extend(
        health
            .notes
            .iter()
            .map(|note| ("note", escape::text(note).into_owned())),
    );
    facts
}

fn sample(sampling: &Sampling) -> String {
    let Sampling {
        interval_bytes,
        times,
        passed_over,
    } = *sampling;
    let interval = bytes(interval_bytes);
    let windows = if times > 1 {
        format!(", in windows of at least 1/{} of the time", count(times.into()))
    } else {
        String::new()
    };
    if interval_bytes == 1 {
        return format!(
            "every block{windows}, which stands for those between windows; every mapping. Sums of heap blocks are estimates"
        );
    }
    format!(
        "about one block for each {interval} allocated, every block of {interval} and more{windows}, every mapping; {} passed over \
         with {}. Sums of heap blocks are estimates: the true value lies within the error bar (±) 19 times of 20",
        plural(passed_over.count, "allocation"),
        bytes(passed_over.bytes),
    )
}

fn budget(budget: &Budget) -> String {
    let steps: Vec<_> = budget
        .steps
        .iter()
        .map(|step| format!("{} {}", step.step, duration(Duration::from_secs_f64(step.seconds))))
        .collect();
    format!(
        "slowed down by about {} of {}, in {}; a hit costs {:.1} us here besides the program, {:.1} us where it is stepped through",
        percent(budget.slowdown),
        percent(budget.limit),
        steps.join(", "),
        budget.trap_ns / 1e3,
        budget.stepped_trap_ns / 1e3,
    )
}

fn lost(health: &Health) -> String {
    let mut clauses = Vec::new();
    if health.lost_allocations > 0 {
        clauses.push(format!(
            "{} ({})",
            plural(health.lost_allocations, "allocation"),
            bytes(health.lost_bytes)
        ));
    }
    if health.forgotten_frees > 0 {
        clauses.push(format!(
            "{}: as many blocks may be shown that are freed",
            plural(health.forgotten_frees, "free")
        ));
    }
    if health.lost_other > 0 {
        clauses.push(plural(health.lost_other, "other record"));
    }
    if health.not_kept > 0 {
        clauses.push(format!("{} without room", plural(health.not_kept, "allocation")));
    }
    if health.late_processes > 0 {
        clauses.push(format!(
            "what {} did before the probes were on",
            units::processes(health.late_processes)
        ));
    }
    if health.unhooked_processes > 0 {
        clauses.push(format!(
            "what {} took from what is not hooked",
            units::processes(health.unhooked_processes)
        ));
    }
    if health.gaps > 0 {
        clauses.push(format!(
            "what happened in {} without probes",
            plural(health.gaps, "time")
        ));
    }
    if health.malformed > 0 {
        clauses.push(format!("{} not understood", plural(health.malformed, "record")));
    }
    let mut text = if clauses.is_empty() {
        "nothing".to_owned()
    } else {
        clauses.join("; ")
    };
    if health.recovered_frees > 0 {
        text = format!("{text}; {} late, but applied", plural(health.recovered_frees, "free"));
    }
    text
}

fn unmatched(health: &Health) -> String {
    match (health.unmatched_frees, health.lost_allocations) {
        (0, _) if health.sampling.is_some() => "not counted: most blocks are not in the sample".into(),
        (0, _) => "0 frees".into(),
        (frees, 0) => format!(
            "{} of unknown blocks: from before, or of a thread's cache",
            plural(frees, "free")
        ),
        (frees, _) => format!(
            "{} of unknown blocks: from before, lost, or of a thread's cache",
            plural(frees, "free")
        ),
    }
}

fn conflicts(health: &Health) -> String {
    match health.conflicts {
        0 => "0".into(),
        conflicts => format!("{}: addresses allocated again without a free seen", count(conflicts)),
    }
}

fn stacks(health: &Health) -> String {
    let stacks = &health.stacks;
    let mut text = format!("{} distinct", count(stacks.distinct));
    let events = [
        (stacks.deep, "cut at the depth limit"),
        (stacks.broken, "end early"),
        (stacks.no_table, "end in code without unwind table"),
        (stacks.unreadable, "end at memory that could not be read"),
        (stacks.unsupported, "end at an unsupported unwind rule"),
        (stacks.early, "came before their unwind table"),
        (stacks.signal, "beyond a signal perhaps wrong"),
        (stacks.lost, "lost"),
        (stacks.scratch_taken, "lost to another task"),
        (stacks.overflow, "not kept: table full"),
        (stacks.collisions, "met under one identity"),
    ];
    let truncated: Vec<_> = events
        .iter()
        .filter(|event| event.0 > 0)
        .map(|&(value, what)| format!("{} {what}", count(value)))
        .collect();
    text.push_str("; ");
    text.push_str(&if truncated.is_empty() {
        "none truncated or lost".to_owned()
    } else {
        truncated.join(", ")
    });
    text
}

fn symbols(health: &Health) -> String {
    if health.frames_total == 0 {
        return "no frames".into();
    }
    let share = health.frames_symbolized as f64 / health.frames_total as f64;
    let (named, all) = (count(health.frames_symbolized), plural(health.frames_total, "frame"));
    format!("{named} of {all} have a function name ({})", percent(share))
}

fn cost(profile: &Profile) -> String {
    let cost = &profile.health.cost;
    format!(
        "{:.2} s of CPU ({} of one), {} peak memory, about {:.2} s in BPF programs ({}, {} a second)",
        cost.cpu_seconds,
        percent(profile.cpu_share()),
        bytes(cost.peak_memory_bytes),
        cost.bpf_seconds,
        plural(cost.hits, "hit"),
        count(units::whole(
            cost.hits as f64 / profile.observed.as_secs_f64().max(0.001)
        )),
    )
}
