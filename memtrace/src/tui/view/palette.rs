//! Colours, as many as the terminal has. None of them is the only one to say something.

use ratatui_core::style::{Color, Modifier, Style};

use crate::profile::{Frame, FrameKind};

/// How many colours there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Depth {
    None,
    Sixteen,
    Many,
    All,
}

/// See the module's description.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Palette(Depth);

/// A colour for each depth.
struct Hue {
    sixteen: Color,
    many: u8,
    all: (u8, u8, u8),
}

// The hues of Okabe and Ito (<https://jfly.uni-koeln.de/color/>), with the meaning that they have in the flame graph.
const PROGRAM: Hue = Hue {
    sixteen: Color::Yellow,
    many: 214,
    all: (0xe6, 0x9f, 0x00),
};
const LIBRARY: Hue = Hue {
    sixteen: Color::Green,
    many: 36,
    all: (0x00, 0x9e, 0x73),
};
const PYTHON: Hue = Hue {
    sixteen: Color::Cyan,
    many: 74,
    all: (0x56, 0xb4, 0xe9),
};
const JAVASCRIPT: Hue = Hue {
    sixteen: Color::LightYellow,
    many: 227,
    all: (0xf0, 0xe4, 0x42),
};
const KERNEL: Hue = Hue {
    sixteen: Color::Magenta,
    many: 175,
    all: (0xcc, 0x79, 0xa7),
};
const WARNING: Hue = Hue {
    sixteen: Color::LightRed,
    many: 166,
    all: (0xd5, 0x5e, 0x00),
};

/// The letter of whose code a frame is.
pub(super) const fn letter(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Native => "n",
        FrameKind::Kernel => "k",
        FrameKind::Python => "p",
        FrameKind::JavaScript => "j",
    }
}

impl Palette {
    /// By what the environment says of the terminal: `TERM`, `COLORTERM`, and whether `NO_COLOR` is set to something
    /// (<https://no-color.org>).
    pub fn new(term: &str, colorterm: &str, no_color: bool) -> Self {
        Self(match term {
            _ if no_color => Depth::None,
            "" | "dumb" | "vt100" | "vt220" => Depth::None,
            _ if matches!(colorterm, "truecolor" | "24bit") || term.ends_with("-direct") => Depth::All,
            _ if term.contains("256color") => Depth::Many,
            _ => Depth::Sixteen,
        })
    }

    /// A background that dark letters can be read on, whatever the terminal's own colours are; `None` without colours.
    fn on(self, hue: &Hue) -> Option<Style> {
        let (ground, ink) = match self.0 {
            Depth::None => return None,
            Depth::Sixteen => (hue.sixteen, Color::Black),
            // The first sixteen can be anything.
            Depth::Many => (Color::Indexed(hue.many), Color::Indexed(16)),
            Depth::All => (Color::Rgb(hue.all.0, hue.all.1, hue.all.2), Color::Rgb(0, 0, 0)),
        };
        Some(Style::new().bg(ground).fg(ink))
    }

    /// The letter of a frame in `executable`, the file name of the program.
    pub(super) fn kind(self, frame: &Frame, executable: &str) -> Style {
        let hue = match frame.kind {
            FrameKind::Native if frame.module == executable => &PROGRAM,
            FrameKind::Native => &LIBRARY,
            FrameKind::Python => &PYTHON,
            FrameKind::JavaScript => &JAVASCRIPT,
            FrameKind::Kernel => &KERNEL,
        };
        self.on(hue).unwrap_or_default()
    }

    /// What must not be overlooked.
    pub(super) fn warning(self) -> Style {
        let style = self.on(&WARNING);
        style
            .unwrap_or(Style::new().add_modifier(Modifier::REVERSED))
            .add_modifier(Modifier::BOLD)
    }

    /// What is chosen.
    pub(super) const fn chosen() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What one looks for first.
    pub(super) const fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is there if one wants it.
    pub(super) const fn faint() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::frame;

    #[test]
    fn terminals_get_what_they_have() {
        let depth = |term, colorterm, no_color| Palette::new(term, colorterm, no_color).0;
        assert_eq!(depth("xterm-256color", "truecolor", true), Depth::None);
        assert_eq!(depth("xterm-256color", "truecolor", false), Depth::All);
        assert_eq!(depth("tmux-256color", "", false), Depth::Many);
        assert_eq!(depth("linux", "", false), Depth::Sixteen);
        assert_eq!(depth("dumb", "truecolor", false), Depth::None);
    }

    /// Relative luminance of WCAG 2, of colours in sRGB.
    fn luminance((red, green, blue): (u8, u8, u8)) -> f64 {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    #[test]
    fn black_letters_can_be_read_on_every_hue() {
        for hue in [PROGRAM, LIBRARY, PYTHON, JAVASCRIPT, KERNEL, WARNING] {
            let contrast = (luminance(hue.all) + 0.05) / 0.05;
            assert!(contrast >= 4.5, "{:?}: {contrast}", hue.all);
        }
    }

    #[test]
    fn kinds_differ_in_colour_and_letter() {
        for palette in [Depth::Sixteen, Depth::Many, Depth::All].map(Palette) {
            let mut styles: Vec<_> = FrameKind::ALL
                .map(|kind| {
                    palette.kind(
                        &Frame {
                            kind,
                            ..frame("f", "app")
                        },
                        "app",
                    )
                })
                .to_vec();
            styles.push(palette.kind(&frame("f", "lib"), "app"));
            for (index, style) in styles.iter().enumerate() {
                assert!(!styles[..index].contains(style), "{palette:?} {style:?}");
            }
        }
        let letters = FrameKind::ALL.map(letter);
        assert_eq!(letters, ["n", "k", "p", "j"]);
    }
}
