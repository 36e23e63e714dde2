//! What frees what it no longer needs, and looks like a leak for a while.

use super::lives::{Draw, EVER, Life, blocks, moments, ring};

/// What an observation should tell from a leak.
pub(super) const HEALTHY: &[(&str, Draw)] = &[
    ("a cache with replacement", |random, end| {
        let births = moments(random, 0.0, end, end / 3000.0);
        let places = crate::units::whole(3000.0 * random.between(0.02, 0.5));
        ring(random, &births, usize::try_from(places).unwrap())
    }),
    ("a cache that fills once", |random, end| {
        let full = end * random.between(0.1, 0.6);
        let births = moments(random, 0.0, full, end / 1500.0);
        blocks(random, &births, |_, _| EVER)
    }),
    ("tables of the start", |random, _| {
        let births = moments(random, 0.0, 1.0, 0.02);
        blocks(random, &births, |_, _| EVER)
    }),
    ("settings", |random, _| {
        let births = moments(random, 0.0, 2.0, 0.01);
        blocks(random, &births, |random, _| {
            if random.once_in(2.0) { EVER } else { random.wait(0.005) }
        })
    }),
    ("batches", |random, end| {
        let period = end / random.between(3.0, 30.0);
        let births = moments(random, 0.0, end, end / 3000.0);
        blocks(random, &births, |_, birth| period - birth % period)
    }),
    ("a pool", |random, end| {
        // A chunk for each new maximum of what is needed at once.
        let asked = moments(random, 0.0, end, end / 1000.0);
        let mut most = 0.0;
        let mut births = Vec::new();
        for moment in asked {
            let needed = (0..4).map(|_| random.unit()).sum::<f64>() * 20.0;
            while most < needed {
                births.push(moment);
                most += 1.0;
            }
        }
        blocks(random, &births, |_, _| EVER)
    }),
    ("a table that is built anew", |random, end| {
        let period = end / random.between(5.0, 25.0);
        let births = moments(random, 0.0, end, end / 3000.0);
        blocks(random, &births, |_, birth| 2.0 * period - birth % period)
    }),
    ("a table that doubles", |random, end| {
        let (mut lives, mut size) = (Vec::new(), 512);
        let mut birth = random.between(0.001, 0.01) * end;
        while birth < 0.6 * end {
            lives.push(Life {
                birth,
                death: 2.0 * birth,
                size,
            });
            (birth, size) = (2.0 * birth, size * 2);
        }
        lives.last_mut().unwrap().death = EVER;
        lives
    }),
    ("arenas", |random, end| {
        let births = moments(random, 0.0, end, end / 5000.0);
        blocks(random, &births, |random, _| random.wait(0.05))
    }),
    ("a load that rises", |random, end| {
        let mean = random.between(0.005, 0.06) * end;
        let births: Vec<f64> = moments(random, 0.0, end, end / 4000.0)
            .into_iter()
            .filter(|birth| random.unit() < 0.05 + 0.95 * birth / end)
            .collect();
        blocks(random, &births, |random, _| mean * random.between(0.3, 1.0))
    }),
    ("a load that comes and goes", |random, end| {
        let (days, mean) = (random.between(1.0, 4.0), random.between(0.005, 0.04) * end);
        let births: Vec<f64> = (moments(random, 0.0, end, end / 4000.0).into_iter())
            .filter(|birth| random.unit() < 0.55 - 0.45 * (birth / end * days * std::f64::consts::TAU).cos())
            .collect();
        blocks(random, &births, |random, _| random.wait(mean))
    }),
    ("long sessions", |random, end| {
        let births = moments(random, 0.0, end, end / 1500.0);
        let length = random.between(0.15, 0.4) * end;
        blocks(random, &births, |random, _| length * random.between(0.9, 1.1))
    }),
    ("results that are kept", |random, end| {
        let mean = random.between(0.04, 0.16) * end;
        let births: Vec<f64> = (0..800)
            .map(|_| random.wait(mean))
            .filter(|&birth| birth < end)
            .collect();
        blocks(random, &births, |_, _| EVER)
    }),
    ("workers up to a bound", |random, end| {
        let (bound, last) = (random.between(4.0, 16.0), random.between(0.2, 0.5) * end);
        let births = moments(random, 0.0, last, last / bound);
        blocks(random, &births, |_, _| EVER)
    }),
    ("a queue", |random, end| {
        // As many come as go, now the one and now the other ahead.
        let births = moments(random, 0.0, end, end / 2000.0);
        let mut wait = 0.01 * end;
        blocks(random, &births, |random, _| {
            wait = (wait * random.between(0.9, 1.11)).clamp(0.001 * end, 0.05 * end);
            wait
        })
    }),
    ("a cache with some that stay", |random, end| {
        let births = moments(random, 0.0, end, end / 3000.0);
        let mut lives = ring(random, &births, 240);
        for life in lives.iter_mut().take(60) {
            life.death = EVER;
        }
        lives
    }),
];

/// What is at the edge of that: while it fills, a cache is no different from a leak.
pub(super) const HARD_HEALTHY: &[(&str, Draw)] = &[
    ("a cache that fills to the end, almost", |random, end| {
        let full = end * random.between(0.65, 0.95);
        let births = moments(random, 0.0, full, end / 1500.0);
        blocks(random, &births, |_, _| EVER)
    }),
    ("a cache with a long memory", |random, end| {
        let births = moments(random, 0.0, end, end / 3000.0);
        let places = crate::units::whole(3000.0 * random.between(0.5, 0.95));
        ring(random, &births, usize::try_from(places).unwrap())
    }),
    ("a load that rises, of long sessions", |random, end| {
        let length = random.between(0.1, 0.4) * end;
        let births: Vec<f64> = moments(random, 0.0, end, end / 4000.0)
            .into_iter()
            .filter(|birth| random.unit() < 0.05 + 0.95 * birth / end)
            .collect();
        blocks(random, &births, |random, _| length * random.between(0.3, 1.0))
    }),
    ("a step up, late", |random, end| {
        let (step, early) = (random.between(0.6, 0.9) * end, random.between(0.2, 0.8));
        let mut births = moments(random, 0.0, 0.02 * end, end / 5000.0);
        births.retain(|_| random.unit() < early);
        births.extend(moments(random, step, step + 0.02 * end, end / 5000.0));
        blocks(random, &births, |_, _| EVER)
    }),
    ("a pool in steps", |random, end| {
        let last = random.between(0.5, 0.85) * end;
        let births = moments(random, 0.0, last, last / random_steps(end));
        blocks(random, &births, |_, _| EVER)
    }),
];

/// Between five steps and nine, more in a longer observation.
fn random_steps(end: f64) -> f64 {
    (end / 200.0).clamp(5.0, 9.0)
}
