//! Lives of blocks as programs have them, drawn from a generator: what leaks and what only looks like it.

/// A generator with a fixed start (xorshift64, Marsaglia 2003).
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(start: u64) -> Self {
        Self(start.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Anything between the two.
    pub(super) fn from(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// One time in so many.
    fn once_in(&mut self, times: f64) -> bool {
        self.unit() * times < 1.0
    }

    /// Exponentially distributed, as waiting times are.
    fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A size in bytes; a few are far larger than most.
    fn size(&mut self) -> u64 {
        crate::units::whole(16.0 * self.from(0.0, 1.0).powi(-1).min(256.0) + self.from(0.0, 200.0))
    }
}

/// One block. Times are in seconds from the start of the observation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) birth: f64,
    /// Infinite for one that is never freed.
    pub(super) death: f64,
    pub(super) size: u64,
}

const EVER: f64 = f64::INFINITY;

/// Moments from one to another, at random with this mean distance.
fn moments(random: &mut Random, from: f64, to: f64, mean: f64) -> Vec<f64> {
    let mut all = Vec::new();
    let mut now = from + random.wait(mean);
    while now < to {
        all.push(now);
        now += random.wait(mean);
    }
    all
}

/// Blocks at these moments that live as long as is said.
fn blocks(random: &mut Random, births: &[f64], mut lives: impl FnMut(&mut Random, f64) -> f64) -> Vec<Life> {
    let block = |&birth: &f64| Life {
        birth,
        death: birth + lives(random, birth),
        size: random.size(),
    };
    births.iter().map(block).collect()
}

/// A ring of so many places: each block is freed as its place is taken again.
fn ring(random: &mut Random, births: &[f64], places: usize) -> Vec<Life> {
    let block = |(index, &birth): (usize, &f64)| Life {
        birth,
        death: births.get(index + places).copied().unwrap_or(EVER),
        size: random.size(),
    };
    births.iter().enumerate().map(block).collect()
}

/// Draws the lives of an observation of so many seconds.
pub(super) type Draw = fn(&mut Random, f64) -> Vec<Life>;

/// What never frees, or forgets to free.
pub(super) const LEAKS: &[(&str, Draw)] = &[
    ("a steady one", |random, end| {
        let births = moments(random, 0.0, end, end / 800.0);
        blocks(random, &births, |_, _| EVER)
    }),
    ("large blocks, rarely", |random, end| {
        let every = end / random.from(10.0, 24.0);
        let births: Vec<f64> = (0..24).map(|index| every * (f64::from(index) + random.from(0.1, 0.9))).collect();
        let kept: Vec<Life> = births.into_iter().filter(|&birth| birth < end).map(|birth| Life { birth, death: EVER, size: 1 << 20 }).collect();
        kept
    }),
    ("one of many", |random, end| {
        let births = moments(random, 0.0, end, end / 8000.0);
        let (times, mean) = (random.from(10.0, 100.0), random.from(0.01, 0.5));
        blocks(random, &births, |random, _| if random.once_in(times) { EVER } else { random.wait(mean) })
    }),
    ("a buffer that grows", |random, end| {
        let times = random.from(60.0, 900.0);
        let births = moments(random, 0.0, end, end / times);
        let mut lives = ring(random, &births, 1);
        let step = random.from(16.0, 400.0);
        for (index, life) in lives.iter_mut().enumerate() {
            life.size = crate::units::whole(step * (index + 1) as f64);
        }
        lives
    }),
    ("bursts", |random, end| {
        let every = end / random.from(7.0, 12.0);
        let births: Vec<f64> = (0..600).map(|index| every * (f64::from(index / 50) + 0.3) + random.from(0.0, 0.1)).filter(|&birth| birth < end).collect();
        blocks(random, &births, |_, _| EVER)
    }),
    ("after a while without", |random, end| {
        let start = random.from(0.2, 0.5) * end;
        let births = moments(random, 0.0, end, end / 1500.0);
        blocks(random, &births, |random, birth| if birth < start { random.wait(0.2) } else { EVER })
    }),
    ("beside a cache", |random, end| {
        let births = moments(random, 0.0, end, end / 3000.0);
        let places = crate::units::whole(3000.0 * random.from(0.05, 0.12));
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
        let mean = random.from(0.01, 0.04) * end;
        blocks(random, &births, |random, _| if random.once_in(2.0) { EVER } else { mean * random.from(0.5, 1.5) })
    }),
    ("faster and faster", |random, end| {
        let births: Vec<f64> = moments(random, 0.0, end, end / 1200.0).into_iter().filter(|birth| random.unit() < birth / end).collect();
        blocks(random, &births, |_, _| EVER)
    }),
    ("on errors, which come in swarms", |random, end| {
        let swarm = end / 16.0;
        let bad: Vec<bool> = (0..16).map(|_| random.once_in(2.0)).collect();
        let births = moments(random, 0.0, end, end / 3000.0);
        blocks(random, &births, |random, birth| {
            let place = usize::try_from(crate::units::whole((birth / swarm).floor())).unwrap();
            if bad[place.min(15)] && random.once_in(4.0) { EVER } else { random.wait(0.1) }
        })
    }),
    ("under a sawtooth", |random, end| {
        let period = end / random.from(12.0, 40.0);
        let births = moments(random, 0.0, end, end / 4000.0);
        blocks(random, &births, |random, birth| if random.once_in(8.0) { EVER } else { period - birth % period })
    }),
    ("two blocks a thread", |random, end| {
        let every = end / random.from(60.0, 300.0);
        let births: Vec<f64> = (0..600).map(|index| every * f64::from(index / 2)).filter(|&birth| birth < end).collect();
        blocks(random, &births, |_, _| EVER)
    }),
];

/// What frees what it no longer needs.
pub(super) const HEALTHY: &[(&str, Draw)] = &[
    ("a cache with replacement", |random, end| {
        let births = moments(random, 0.0, end, end / 3000.0);
        let places = crate::units::whole(3000.0 * random.from(0.02, 0.5));
        ring(random, &births, usize::try_from(places).unwrap())
    }),
    ("a cache that fills once", |random, end| {
        let full = end * random.from(0.1, 0.6);
        let births = moments(random, 0.0, full, end / 1500.0);
        blocks(random, &births, |_, _| EVER)
    }),
    ("tables of the start", |random, _| {
        let births = moments(random, 0.0, 1.0, 0.02);
        blocks(random, &births, |_, _| EVER)
    }),
    ("settings", |random, _| {
        let births = moments(random, 0.0, 2.0, 0.01);
        blocks(random, &births, |random, _| if random.once_in(2.0) { EVER } else { random.wait(0.005) })
    }),
    ("batches", |random, end| {
        let period = end / random.from(3.0, 30.0);
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
        let period = end / random.from(5.0, 25.0);
        let births = moments(random, 0.0, end, end / 3000.0);
        blocks(random, &births, |_, birth| 2.0 * period - birth % period)
    }),
    ("a table that doubles", |random, end| {
        let (mut lives, mut size) = (Vec::new(), 512);
        let mut birth = random.from(0.001, 0.01) * end;
        while birth < 0.6 * end {
            lives.push(Life { birth, death: 2.0 * birth, size });
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
        let mean = random.from(0.005, 0.06) * end;
        let births: Vec<f64> = moments(random, 0.0, end, end / 4000.0).into_iter().filter(|birth| random.unit() < 0.05 + 0.95 * birth / end).collect();
        blocks(random, &births, |random, _| mean * random.from(0.3, 1.0))
    }),
    ("a load that comes and goes", |random, end| {
        let (days, mean) = (random.from(1.0, 4.0), random.from(0.005, 0.04) * end);
        let births: Vec<f64> = (moments(random, 0.0, end, end / 4000.0).into_iter())
            .filter(|birth| random.unit() < 0.55 - 0.45 * (birth / end * days * std::f64::consts::TAU).cos())
            .collect();
        blocks(random, &births, |random, _| random.wait(mean))
    }),
    ("long sessions", |random, end| {
        let births = moments(random, 0.0, end, end / 1500.0);
        let length = random.from(0.15, 0.4) * end;
        blocks(random, &births, |random, _| length * random.from(0.9, 1.1))
    }),
    ("results that are kept", |random, end| {
        let mean = random.from(0.04, 0.16) * end;
        let births: Vec<f64> = (0..800).map(|_| random.wait(mean)).filter(|&birth| birth < end).collect();
        blocks(random, &births, |_, _| EVER)
    }),
    ("workers up to a bound", |random, end| {
        let (bound, last) = (random.from(4.0, 16.0), random.from(0.2, 0.5) * end);
        let births = moments(random, 0.0, last, last / bound);
        blocks(random, &births, |_, _| EVER)
    }),
    ("a queue", |random, end| {
        // As many come as go, now the one and now the other ahead.
        let births = moments(random, 0.0, end, end / 2000.0);
        let mut wait = 0.01 * end;
        blocks(random, &births, |random, _| {
            wait = (wait * random.from(0.9, 1.11)).clamp(0.001 * end, 0.05 * end);
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
