//! Where JavaScript's objects were allocated, as far as a sample tells.

use super::{
    Frame, FrameIndex, FrameKind, Profile,
    js_space::{BySpace, Space},
    js_survival::Fates,
};

/// Standard deviations of a normal distribution within which 95 % lie.
const Z: f64 = 1.959_964;

/// Who has written first to a byte that was sampled, and so has allocated it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Writer<Stack> {
    /// By its call stack.
    Stack(Stack),
    /// Its stack was lost.
    Unknown,
    /// Nobody, until its area has ended: who took it has given it back, or never used it.
    Nobody,
}

impl<Stack> Writer<Stack> {
    /// The same by another number of the stack; one that has none was lost.
    pub fn and_then<Other>(self, number: impl FnOnce(Stack) -> Option<Other>) -> Writer<Other> {
        match self {
            Self::Stack(stack) => number(stack).map_or(Writer::Unknown, Writer::Stack),
            Self::Unknown => Writer::Unknown,
            Self::Nobody => Writer::Nobody,
        }
    }
}

/// Samples of a thread with one call stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JsSite {
    /// By index into [`Profile::stacks`].
    pub writer: Writer<usize>,
    /// How many.
    pub samples: u64,
    /// Bytes that they stand for.
    pub bytes: u64,
    /// Sum of the squares of the bytes that each stands for.
    pub squares: f64,
    /// The bytes by where they are.
    pub spaces: BySpace,
    /// What became of young objects.
    pub fates: Fates,
}

/// A part of what was allocated, as samples tell it: 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// By the samples.
    pub value: f64,
    /// The true one lies from here
    pub low: f64,
    /// to here, 19 times of 20.
    pub high: f64,
}

/// Who has allocated.
#[derive(Clone, Debug, PartialEq)]
pub enum Allocator {
    /// A function, at no line in particular.
    Function(Frame),
    /// No function of JavaScript: V8 or its program for itself, or nobody knows.
    Other,
    /// [`Writer::Nobody`]
    Nobody,
}

impl Allocator {
    /// The function, if it is one.
    pub const fn function(&self) -> Option<&Frame> {
        match self {
            Self::Function(frame) => Some(frame),
            Self::Other | Self::Nobody => None,
        }
    }
}

/// Samples of a function: those in which no other function of JavaScript was nearer to the allocation.
#[derive(Clone, Debug, PartialEq)]
pub struct JsFunction {
    /// The function, or what stands for none.
    pub allocator: Allocator,
    /// How many.
    pub samples: u64,
    /// Bytes that they stand for.
    pub bytes: u64,
    /// What part of all that is.
    pub share: Share,
    /// The bytes by where they are.
    pub spaces: BySpace,
    /// What became of young objects.
    pub fates: Fates,
}

impl JsFunction {
    /// What part of its bytes is in a space: 0 to 1.
    pub fn part_in(&self, space: Space) -> f64 {
        self.spaces.of(space) as f64 / self.bytes.max(1) as f64
    }
}

/// What samples amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JsSamples {
    /// How many.
    pub samples: u64,
    /// Bytes that they stand for.
    pub bytes: u64,
    squares: f64,
}

impl JsSamples {
    /// Those of some sites.
    pub fn of(sites: &[JsSite]) -> Self {
        sites.iter().fold(Self::default(), |sum, site| Self {
            samples: sum.samples + site.samples,
            bytes: sum.bytes.saturating_add(site.bytes),
            squares: sum.squares + site.squares,
        })
    }

    /// How many samples that all stood for the same would tell as much: fewer than there are where they do not (Kish, 1965).
    pub fn effective(&self) -> f64 {
        if self.squares > 0.0 {
            (self.bytes as f64).powi(2) / self.squares
        } else {
            0.0
        }
    }

    /// What part of all `bytes` are.
    pub fn share(&self, bytes: u64) -> Share {
        Share::of(bytes as f64 / self.bytes as f64, self.effective())
    }
}

impl Share {
    /// A part that was found in so many samples of equal weight, with its confidence interval (Wilson, 1927).
    pub fn of(value: f64, samples: f64) -> Self {
        if samples <= 0.0 {
            return Self {
                value: 0.0,
                low: 0.0,
                high: 1.0,
            };
        }
        let scale = 1.0 + Z * Z / samples;
        let middle = (value + Z * Z / (2.0 * samples)) / scale;
        let half = Z / scale * (value * (1.0 - value) / samples + Z * Z / (4.0 * samples * samples)).sqrt();
        Self {
            value,
            low: (middle - half).clamp(0.0, value),
            high: (middle + half).clamp(value, 1.0),
        }
    }
}

impl Profile {
    /// The functions that have allocated, who has most first.
    pub fn js_functions(&self, sites: &[JsSite]) -> Vec<JsFunction> {
        let all = JsSamples::of(sites);
        let mut functions: Vec<JsFunction> = Vec::new();
        for site in sites {
            let allocator = self.allocator(site.writer);
            let known = functions.iter_mut().find(|function| function.allocator == allocator);
            if let Some(function) = known {
                function.samples += site.samples;
                function.bytes = function.bytes.saturating_add(site.bytes);
                function.spaces.add_all(&site.spaces);
                function.fates.add(&site.fates);
            } else {
                functions.push(JsFunction {
                    allocator,
                    samples: site.samples,
                    bytes: site.bytes,
                    share: Share::default(),
                    spaces: site.spaces,
                    fates: site.fates,
                });
            }
        }
        for function in &mut functions {
            function.share = all.share(function.bytes);
        }
        // Equal ones in an order of their own.
        functions.sort_by(|one, other| {
            let name = |function: &JsFunction| {
                let frame = function.allocator.function();
                frame.map(|frame| (frame.function.clone(), frame.file.clone()))
            };
            (other.bytes.cmp(&one.bytes)).then_with(|| name(one).cmp(&name(other)))
        });
        functions
    }

    fn allocator(&self, writer: Writer<usize>) -> Allocator {
        match writer.and_then(|stack| self.innermost(self.stacks.get(stack)?)) {
            Writer::Stack(frame) => Allocator::Function(frame),
            Writer::Unknown => Allocator::Other,
            Writer::Nobody => Allocator::Nobody,
        }
    }

    /// The function of JavaScript that is nearest to the allocation.
    fn innermost(&self, stack: &[FrameIndex]) -> Option<Frame> {
        let mut frames = stack.iter().filter_map(|&index| self.frames.get(index as usize));
        let frame = frames.find(|frame| frame.kind == FrameKind::JavaScript)?;
        Some(Frame {
            // Of several places in it each has another one.
            offset: 0,
            line: None,
            inlined: false,
            ..frame.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{View, fixture};

    fn samples(samples: u64, weight: u64) -> JsSite {
        JsSite {
            writer: Writer::Unknown,
            samples,
            bytes: samples * weight,
            squares: samples as f64 * (weight as f64).powi(2),
            spaces: BySpace::default(),
            fates: Fates::default(),
        }
    }

    #[test]
    fn shares_have_the_interval_that_tables_have() {
        let all = JsSamples::of(&[samples(100, 1 << 19)]);
        assert!((all.effective() - 100.0).abs() < 1e-9);
        // Wilson's interval of 20 in 100 and of 0 in 100 (Newcombe, 1998, method 3).
        let share = all.share(20 << 19);
        assert!((share.value - 0.2).abs() < 1e-9);
        assert!(
            (share.low - 0.1334).abs() < 1e-4 && (share.high - 0.2888).abs() < 1e-4,
            "{share:?}"
        );
        let share = all.share(0);
        assert!(
            share.low.abs() < 1e-9 && (share.high - 0.0370).abs() < 1e-4,
            "{share:?}"
        );
        let share = all.share(100 << 19);
        assert!(
            (share.high - 1.0).abs() < 1e-9 && (share.low - 0.9630).abs() < 1e-4,
            "{share:?}"
        );
    }

    #[test]
    fn functions_are_those_nearest_to_the_allocation() {
        let profile = fixture::sampled_js_heap();
        let functions = profile.js_functions(&profile.js_heaps[0].sites);
        let told: Vec<_> = functions
            .iter()
            .map(|function| {
                let name = (function.allocator.function()).and_then(|frame| frame.function.as_deref());
                (name, function.samples)
            })
            .collect();
        assert_eq!(
            told,
            [
                (Some("parse"), 750),
                (Some("\u{1b}[31mred"), 160),
                (None, 50),
                (None, 40)
            ]
        );
        assert_eq!(
            [&functions[2].allocator, &functions[3].allocator],
            [&Allocator::Other, &Allocator::Nobody]
        );
        let view = profile.viewed(View::Native);
        let sites = &view.js_heaps[0].sites;
        let samples: Vec<_> = sites.iter().map(|site| site.samples).collect();
        assert_eq!(samples, [780, 160, 40, 20], "stacks that are equal in a view are one");
    }

    #[test]
    fn uneven_samples_tell_less() {
        let all = JsSamples::of(&[samples(100, 1 << 19), samples(10, 50 << 19)]);
        assert!(all.effective() < 15.0, "{}", all.effective());
        let none = JsSamples::of(&[]).share(0);
        assert!(none.low.abs() < 1e-9 && (none.high - 1.0).abs() < 1e-9, "{none:?}");
    }
}
