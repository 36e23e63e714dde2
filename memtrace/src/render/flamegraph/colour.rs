//! Colours of the flame graph: whose code a frame is, always the same for the same name.

use std::collections::BTreeMap;

use inferno::flamegraph::color::{Color, PaletteMap};

use crate::profile::{Frame, FrameKind, Profile};

use crate::render::{escape, folded, label};

/// Behind everything.
pub(super) const BACKGROUND: Color = Color { r: 250, g: 250, b: 248 };
/// Behind a comparison: frames that have not changed are almost white, and are to be seen on it.
pub(super) const BEHIND_CHANGES: Color = Color { r: 210, g: 210, b: 206 };
/// The allocator and what passes requests on: there, but not what one looks for.
const PLUMBING: Color = Color { r: 205, g: 205, b: 205 };
/// A frame without a name.
const UNNAMED: Color = Color { r: 226, g: 214, b: 226 };
/// Bytes without a stack: something is missing.
pub(super) const NO_STACK: Color = Color { r: 240, g: 120, b: 120 };

/// The bar under everything.
pub(super) const BASE: Color = Color { r: 222, g: 222, b: 218 };

/// The colour of every name, as inferno will look it up.
pub(super) fn palette(profile: &Profile) -> PaletteMap {
    let executable = executable(profile);
    let mut colours = BTreeMap::new();
    for frame in &profile.frames {
        // The first frame of a name decides; the order of frames is part of the profile.
        colours
            .entry(folded::name(frame))
            .or_insert_with(|| colour(frame, executable));
    }
    let mut palette = PaletteMap::default();
    for (name, colour) in colours {
        palette.insert(name, colour);
    }
    palette.insert("", BASE);
    if profile.is_split() {
        for group in &profile.groups {
            palette.insert(escape::folded(group), BASE);
        }
    }
    for site in profile
        .memory_sites()
        .filter(|site| profile.stack(site).next().is_none())
    {
        palette.insert(label::no_stack(profile, site), NO_STACK);
        palette.insert(escape::folded(site.op.name()), PLUMBING);
    }
    palette
}

/// A hue to each kind of code, those of Okabe and Ito (<https://jfly.uni-koeln.de/color/>), which readers with any colour vision tell
/// apart: orange is the program itself, green a library, blue Python, yellow JavaScript, purple the kernel, grey the allocator.
/// How light it is comes from the function's name, so that neighbours can be told apart.
fn colour(frame: &Frame, executable: &str) -> Color {
    let function = frame.function.as_deref().unwrap_or_default();
    let shade = f64::from(hash(function) % 16) * 0.008;
    let turn = f64::from(hash(function) / 16 % 13) - 6.0;
    match Code::of(frame, executable) {
        // One hue to each library.
        Code::Library => hsl(150.0 + f64::from(hash(&frame.module) % 17) * 2.0, 0.40, 0.70 + shade),
        code => code.colour(turn, shade),
    }
}

/// What a colour stands for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(in crate::render) enum Code {
    /// Compiled code of the program's own file.
    Program,
    /// Compiled code of any other file.
    Library,
    /// A Python function.
    Python,
    /// A JavaScript function.
    JavaScript,
    /// The kernel.
    Kernel,
    /// The allocator, and what only passes a request on.
    Allocator,
    /// A frame without a symbol.
    Unnamed,
    /// There is no frame.
    NoStack,
    /// No frame either: a group, or an operation.
    Base,
}

impl Code {
    /// All of them, as a legend has them.
    pub(in crate::render) const ALL: [Self; 9] = [
        Self::Program,
        Self::Library,
        Self::Python,
        Self::JavaScript,
        Self::Kernel,
        Self::Allocator,
        Self::Unnamed,
        Self::NoStack,
        Self::Base,
    ];

    /// That of a frame; `executable` is the file name of the program.
    pub(in crate::render) fn of(frame: &Frame, executable: &str) -> Self {
        match frame.kind {
            _ if frame.function.is_none() => Self::Unnamed,
            _ if frame.is_plumbing() => Self::Allocator,
            FrameKind::Native if frame.module == executable => Self::Program,
            FrameKind::Native => Self::Library,
            FrameKind::Python => Self::Python,
            FrameKind::JavaScript => Self::JavaScript,
            FrameKind::Kernel => Self::Kernel,
        }
    }

    /// The words for it in a legend.
    pub(in crate::render) const fn name(self) -> &'static str {
        match self {
            Self::Program => "the program",
            Self::Library => "libraries",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::Kernel => "kernel",
            Self::Allocator => "allocator",
            Self::Unnamed => "without a symbol",
            Self::NoStack => "no stack",
            Self::Base => "group or call",
        }
    }

    /// Its colour in a legend, as `0xrrggbb`.
    pub(in crate::render) fn rgb(self) -> u32 {
        packed(self.colour(0.0, 0.03))
    }

    /// Its colour, the hue turned by some degrees and made lighter.
    fn colour(self, turn: f64, shade: f64) -> Color {
        match self {
            Self::Program => hsl(30.0 + turn, 0.85, 0.66 + shade),
            Self::Library => hsl(166.0 + turn, 0.40, 0.70 + shade),
            Self::Python => hsl(207.0 + turn, 0.75, 0.70 + shade),
            Self::JavaScript => hsl(54.0 + turn / 2.0, 0.85, 0.62 + shade),
            Self::Kernel => hsl(325.0 + turn, 0.45, 0.68 + shade),
            Self::Allocator => PLUMBING,
            Self::Unnamed => UNNAMED,
            Self::NoStack => NO_STACK,
            Self::Base => BASE,
        }
    }
}

/// The colour of a frame as `0xrrggbb`, for pictures that are drawn elsewhere.
pub(in crate::render) fn rgb(frame: &Frame, executable: &str) -> u32 {
    packed(colour(frame, executable))
}

fn packed(colour: Color) -> u32 {
    u32::from_be_bytes([0, colour.r, colour.g, colour.b])
}

/// The file name of the program.
pub(in crate::render) fn executable(profile: &Profile) -> &str {
    profile.target.executable.rsplit('/').next().unwrap_or_default()
}

/// FNV-1a: small, and the same on every machine and in every version.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Hue in degrees, saturation and lightness from 0 to 1.
fn hsl(hue: f64, saturation: f64, lightness: f64) -> Color {
    let chroma = (1.0 - (2.0 * lightness - 1.0).abs()) * saturation;
    let channel = |offset: f64| {
        let position = (offset + hue / 30.0) % 12.0;
        let level = lightness - chroma / 2.0 * (position - 3.0).min(9.0 - position).clamp(-1.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
        let byte = (level * 255.0).round().clamp(0.0, 255.0) as u8;
        byte
    };
    Color {
        r: channel(0.0),
        g: channel(8.0),
        b: channel(4.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::frame;

    #[test]
    fn colours_are_what_they_are_called() {
        assert_eq!(hsl(0.0, 1.0, 0.5), Color { r: 255, g: 0, b: 0 });
        assert_eq!(hsl(120.0, 1.0, 0.5), Color { r: 0, g: 255, b: 0 });
        assert_eq!(hsl(240.0, 1.0, 0.25), Color { r: 0, g: 0, b: 128 });
        let app = colour(&frame("main", "app"), "app");
        assert!(app.r > app.b, "the program is warm");
        let library = colour(&frame("main", "lib.so"), "app");
        assert!(library.r < library.g.max(library.b), "a library is cold");
        let of = |kind| {
            let frame = Frame {
                kind,
                ..frame("main", "app")
            };
            colour(&frame, "app")
        };
        let [native, kernel, python, javascript] = FrameKind::ALL.map(of);
        assert_eq!(native, app);
        assert!(python.b > python.r, "Python is blue");
        assert!(javascript.b < javascript.g, "JavaScript is yellow");
        assert!(kernel.g < kernel.r.min(kernel.b), "the kernel is purple");
    }
}
