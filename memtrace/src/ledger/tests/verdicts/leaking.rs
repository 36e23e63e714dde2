//! What never frees, or forgets to free.

use super::lives::{Draw, EVER, Life, blocks, moments, ring};

/// What an observation should show.
pub(super) const LEAKS: &[(&str, Draw)] = &[
    ("a steady one", |random, end| {
        let births = moments(random, 0.0, end, end / 800.0);
        blocks(random, &births, |_, _| EVER)
    }),
    ("large blocks, rarely", |random, end| {
        let every = end / random.between(10.0, 24.0);
        let births: Vec<f64> = (0..24)
            .map(|index| every * (f64::from(index) + random.between(0.1, 0.9)))
            .collect();
        let kept: Vec<Life> = births
            .into_iter()
            .filter(|&birth| birth < end)
            .map(|birth| Life {
                birth,
                death: EVER,
                size: 1 << 20,
            })
            .collect();
        kept
    }),
    ("one of many", |random, end| {
        let births = moments(random, 0.0, end, end / 8000.0);
        let (times, mean) = (random.between(10.0, 100.0), random.between(0.01, 0.5));
        blocks(random, &births, |random, _| {
            if random.once_in(times) { EVER } else { random.wait(mean) }
        })
    }),
    ("a buffer that grows", |random, end| {
        let times = random.between(60.0, 900.0);
        let births = moments(random, 0.0, end, end / times);
        let mut lives = ring(random, &births, 1);
        let step = random.between(16.0, 400.0);
        for (index, life) in lives.iter_mut().enumerate() {
            life.size = crate::units::whole(step * (index + 1) as f64);
        }
        lives
    }),
    ("bursts", |random, end| {
        let every = end / random.between(7.0, 12.0);
        let births: Vec<f64> = (0..600)
            .map(|index| every * (f64::from(index / 50) + 0.3) + random.between(0.0, 0.1))
            .filter(|&birth| birth < end)
            .collect();
        blocks(random, &births, |_, _| EVER)
    }),
    ("after a while without", |random, end| {
        let start = random.between(0.2, 0.5) * end;
        let births = moments(random, 0.0, end, end / 1500.0);
        blocks(
            random,
            &births,
            |random, birth| if birth < start { random.wait(0.2) } else { EVER },
        )
    }),
    ("beside a cache", |random, end| {
        let births = moments(random, 0.0, end, end / 3000.0);
        let places = crate::units::whole(3000.0 * random.between(0.05, 0.12));
        let mut lives = ring(random, &births, usize::try_from(places).unwrap());
        for life in &mut lives {
            if random.once_in(8.0) {
                life.death = EVER;
            }
        }
        lives
    }),
    ("half of all sessions", |random, end| {
        let births = moments(random, 0.0, end, end / 1200.0);
        let mean = random.between(0.01, 0.04) * end;
        blocks(random, &births, |random, _| {
            if random.once_in(2.0) {
                EVER
            } else {
                mean * random.between(0.5, 1.5)
            }
        })
    }),
    ("faster and faster", |random, end| {
        let births: Vec<f64> = moments(random, 0.0, end, end / 1200.0)
            .into_iter()
            .filter(|birth| random.unit() < birth / end)
            .collect();
        blocks(random, &births, |_, _| EVER)
    }),
    ("on errors, which come in swarms", |random, end| {
        let swarm = end / 16.0;
        let bad: Vec<bool> = (0..16).map(|_| random.once_in(2.0)).collect();
        let births = moments(random, 0.0, end, end / 3000.0);
        blocks(random, &births, |random, birth| {
            let place = usize::try_from(crate::units::whole((birth / swarm).floor())).unwrap();
            if bad[place.min(15)] && random.once_in(4.0) {
                EVER
            } else {
                random.wait(0.1)
            }
        })
    }),
    ("under a sawtooth", |random, end| {
        let period = end / random.between(12.0, 40.0);
        let births = moments(random, 0.0, end, end / 4000.0);
        blocks(random, &births, |random, birth| {
            if random.once_in(8.0) {
                EVER
            } else {
                period - birth % period
            }
        })
    }),
    ("two blocks a thread", |random, end| {
        let every = end / random.between(60.0, 300.0);
        let births: Vec<f64> = (0..600)
            .map(|index| every * f64::from(index / 2))
            .filter(|&birth| birth < end)
            .collect();
        blocks(random, &births, |_, _| EVER)
    }),
];

/// Leaks at the edge of what an observation can show.
pub(super) const HARD_LEAKS: &[(&str, Draw)] = &[
    ("four to seven blocks", |random, end| {
        let count = 4.0 + random.between(0.0, 4.0).floor();
        let births: Vec<f64> = moments(random, 0.0, end, end / count);
        births
            .into_iter()
            .map(|birth| Life {
                birth,
                death: EVER,
                size: 1 << 20,
            })
            .collect()
    }),
    ("half of what comes and goes", |random, end| {
        let period = end / random.between(6.0, 12.0);
        let births = moments(random, 0.0, end, end / 4000.0);
        let batches = random.between(3.0, 12.0);
        blocks(random, &births, |random, birth| {
            if random.once_in(batches * 4.0) {
                EVER
            } else {
                period - birth % period
            }
        })
    }),
    ("in the last fifth", |random, end| {
        let births = moments(random, 0.0, end, end / 3000.0);
        blocks(
            random,
            &births,
            |random, birth| if birth < 0.8 * end { random.wait(0.2) } else { EVER },
        )
    }),
    ("of large blocks in the midst of sessions", |random, end| {
        let births = moments(random, 0.0, end, end / 2000.0);
        let length = random.between(0.05, 0.3) * end;
        blocks(random, &births, |random, _| {
            if random.once_in(12.0) {
                EVER
            } else {
                length * random.between(0.5, 1.5)
            }
        })
    }),
];
