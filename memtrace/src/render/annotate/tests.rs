//! Lines of a made-up file.

use memtrace_common::op::Op;
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::{
    profile::{
        annotate::annotate,
        fixture::{self, SiteSpec, frame, line},
    },
    render::tests::rendered,
};

const TEXT: &str = "#include <stdlib.h>\n\nvoid *make(int size) {\n\treturn malloc(size); // \u{1b}[31m\u{202e}\n}\n\n\n\n\n\n\nint main(void) \
                    {\n    make(10);\n    return 0;\n}\n";

fn profile(last: u32) -> Profile {
    let here = |number| line("f", "app", "/src/app.c", number);
    let malloc = || frame("malloc", "libc.so.6");
    fixture::profile([
        SiteSpec::new(Op::Malloc)
            .stack([malloc(), here(4), here(13)])
            .live(4_096, 8)
            .allocated(1 << 20, 2_048),
        SiteSpec::new(Op::Calloc)
            .stack([frame("calloc", "libc.so.6"), here(last)])
            .allocated(640, 10),
    ])
}

fn text(profile: &Profile, source: Source<'_>, options: &Options) -> String {
    let annotation = annotate(profile, "app.c").unwrap();
    rendered(|out| write(profile, &annotation, source, options, out))
}

#[test]
fn lines() {
    let source = Source {
        text: Some(TEXT),
        newer: false,
    };
    let options = Options::default();
    insta::assert_snapshot!("annotate", text(&profile(13), source, &options));
    let newer = Source { newer: true, ..source };
    insta::assert_snapshot!("annotate_other_file", text(&profile(90), newer, &options));
    let blocks = Options {
        blocks: true,
        ..options
    };
    insta::assert_snapshot!("annotate_numbers", text(&profile(90), Source::default(), &blocks));
}

proptest! {
    #[test]
    fn no_line_is_too_wide_and_all_are_clean(
        columns in 0..130_usize,
        context in 0..9_usize,
        content in "([a-z{};\t\n]|\\PC|[\u{1b}\u{202e}\r]){0,200}",
        number in 1..40_u32,
        blocks: bool,
    ) {
        let options = Options { blocks, context, columns };
        let source = Source { text: Some(&content), newer: true };
        let text = text(&profile(number), source, &options);
        for line in text.lines() {
            prop_assert!(line.width() <= columns, "{line}");
            prop_assert_eq!(line.trim_end(), line);
        }
        prop_assert!(!text.contains(|c| escape::is_unsafe(c) && c != '\n'));
        prop_assert!(columns < 60 || text.lines().any(|line| line.split_whitespace().any(|word| word == number.to_string())));
    }
}
