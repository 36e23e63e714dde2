//! Lives of blocks as programs have them, drawn from a generator.

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

    /// At least 0, and less than 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Anything between the two.
    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// One time in so many.
    pub(super) fn once_in(&mut self, times: f64) -> bool {
        self.unit() * times < 1.0
    }

    /// Exponentially distributed, as waiting times are.
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A size in bytes; a few are far larger than most.
    pub(super) fn size(&mut self) -> u64 {
        crate::units::whole(16.0 * self.between(0.0, 1.0).powi(-1).min(256.0) + self.between(0.0, 200.0))
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

/// The death of a block that is never freed.
pub(super) const EVER: f64 = f64::INFINITY;

/// Moments from one to another, at random with this mean distance.
pub(super) fn moments(random: &mut Random, from: f64, to: f64, mean: f64) -> Vec<f64> {
    let mut all = Vec::new();
    let mut now = from + random.wait(mean);
    while now < to {
        all.push(now);
        now += random.wait(mean);
    }
    all
}

/// Blocks at these moments that live as long as is said.
pub(super) fn blocks(random: &mut Random, births: &[f64], mut lives: impl FnMut(&mut Random, f64) -> f64) -> Vec<Life> {
    let block = |&birth: &f64| Life {
        birth,
        death: birth + lives(random, birth),
        size: random.size(),
    };
    births.iter().map(block).collect()
}

/// A ring of so many places: each block is freed as its place is taken again.
pub(super) fn ring(random: &mut Random, births: &[f64], places: usize) -> Vec<Life> {
    let block = |(index, &birth): (usize, &f64)| Life {
        birth,
        death: births.get(index + places).copied().unwrap_or(EVER),
        size: random.size(),
    };
    births.iter().enumerate().map(block).collect()
}

/// Draws the lives of an observation of so many seconds.
pub(super) type Draw = fn(&mut Random, f64) -> Vec<Life>;
