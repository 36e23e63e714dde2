//! How long it takes from the signal to the end: until the target has no breakpoint any more, and until memtrace has ended.

use std::{
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{breakpoints, statistics::Spread};
use crate::{
    privilege::Root,
    workload::{Binary, Tracer},
};

/// Allocators of the program's own, whose probes come on top of libc's.
const FAMILIES: u32 = 16;

/// How probes are attached: as the kernel allows, or as on those before 6.10.
const MODES: [(&str, &[&str]); 2] = [("shared links", &[]), ("a link for each", &["--single-links"])];

/// Far more than it takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// One run.
struct Sample {
    probes: usize,
    breakpoints: usize,
    clean: Duration,
    end: Duration,
}

/// Measures and prints the table.
pub(super) fn run(root: Root, rounds: u32) -> Result<()> {
    // Without inlining, each family's functions have a place to be probed at.
    let families = Binary::compile("families", &["-O1", "-fno-omit-frame-pointer"])?;
    let pairs: Vec<_> = (0..FAMILIES)
        .flat_map(|number| ["--pair".to_owned(), format!("own_alloc_{number}:own_free_{number}")])
        .collect();
    let mut rows = MODES.map(|mode| (mode, Vec::new()));
    for _ in 0..rounds {
        for ((_, arguments), samples) in &mut rows {
            let arguments: Vec<_> = pairs
                .iter()
                .map(String::as_str)
                .chain(arguments.iter().copied())
                .collect();
            samples.push(sample(root, &families, &arguments)?);
        }
    }
    println!("\nfrom the signal to the end, milliseconds: medians over {rounds} rounds, least and greatest");
    println!(
        "{:<16} {:>7} {:>12} {:>10} {:>22}",
        "", "probes", "breakpoints", "all gone", "memtrace has ended"
    );
    for ((name, _), samples) in &rows {
        let clean = Spread::of(samples.iter().map(|sample| sample.clean.as_secs_f64() * 1e3));
        let end = Spread::of(samples.iter().map(|sample| sample.end.as_secs_f64() * 1e3));
        let (probes, breakpoints) = samples
            .first()
            .map_or((0, 0), |sample| (sample.probes, sample.breakpoints));
        println!(
            "{name:<16} {probes:>7} {breakpoints:>12} {:>10.0} {:>22}",
            clean.median,
            format!("{end:.0}")
        );
    }
    Ok(())
}

fn sample(root: Root, families: &Binary, arguments: &[&str]) -> Result<Sample> {
    let mut program = families.start(&[])?;
    let tracer = Tracer::attach(root, program.pid(), arguments, Stdio::null())?;
    let probes = probes_in(tracer.attached());
    // It works while the probes are taken off: a program that sleeps would be no test.
    program.tell("run 1000")?;
    let found = breakpoints::count(program.pid())?;
    if found == 0 {
        bail!("memtrace is attached, but the target has no breakpoint");
    }
    let start = Instant::now();
    tracer.interrupt()?;
    while breakpoints::count(program.pid())? > 0 {
        if start.elapsed() > PATIENCE {
            bail!("breakpoints are still there {} s after the signal", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(1));
    }
    let clean = start.elapsed();
    tracer.finish()?;
    let end = start.elapsed();
    program.line()?;
    program.finish()?;
    Ok(Sample {
        probes,
        breakpoints: found,
        clean,
        end,
    })
}

/// The number before "probes" in memtrace's line.
fn probes_in(line: &str) -> usize {
    let words: Vec<_> = line.split_whitespace().collect();
    let number = words.windows(2).find(|pair| pair[1] == "probes").map(|pair| pair[0]);
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_probes_is_found() {
        assert_eq!(
            probes_in("attached to process 12 (probes): 34 probes in 56 ms; Ctrl-C ends"),
            34
        );
        assert_eq!(probes_in("attached"), 0);
    }
}
