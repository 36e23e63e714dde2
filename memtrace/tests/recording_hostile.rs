//! Recordings whose sums are right and whose contents are not: what a hostile file would be. Bytes of real contents are changed, cut and
//! repeated, and everything is made of them that can be.

use std::{
    fs,
    io::{Cursor, Read, Seek, Write as _},
    path::Path,
    time::Duration,
};

use memtrace::{
    profile::{Settings, suppress::Suppressions},
    render,
    session::{Lookup, Moment, Part, Reading},
    store::block::{self, Blocks, Kind},
};
use proptest::prelude::*;

const RECORDING: &[u8] = include_bytes!("../../tests/fixtures/ranges.memtrace");

/// The contents of the real recording.
fn contents() -> Vec<(Kind, u64, Vec<u8>)> {
    let mut blocks = Blocks::open(Cursor::new(RECORDING)).expect("a recording");
    let mut all = Vec::new();
    while let Some(head) = blocks.next_head().expect("a whole recording") {
        let content = blocks.content(&head).expect("a whole block");
        all.push((head.kind, head.time_ns, content));
    }
    all
}

fn settings() -> Settings {
    Settings {
        top: 10,
        min_age: Duration::ZERO,
        min_size: 0,
        suppressions: Suppressions::default(),
        fail_over: None,
        view: memtrace::profile::View::default(),
    }
}

/// Reads a file in every way, and renders what comes of it; whether anything did.
fn read(file: &[u8]) -> bool {
    let mut any = false;
    let parts = [
        (Moment::End, None),
        (Moment::End, Some(Duration::from_secs(1))),
        (Moment::Peak, None),
    ];
    for (to, min_age) in parts {
        let Ok(mut reading) = Reading::new(Cursor::new(file), Path::new("hostile")) else {
            return false;
        };
        let part = Part {
            to,
            min_age,
            ..Part::default()
        };
        if let Ok(profile) = reading.profile(&part, settings(), &Lookup::default()) {
            any = true;
            for file in render::FILES {
                let mut out = Vec::new();
                file.render(&profile, render::Options::default(), &mut out)
                    .expect("memory takes all");
            }
        }
    }
    any
}

fn encoded(contents: &[(Kind, u64, Vec<u8>)]) -> Vec<u8> {
    let mut file = block::file_head().to_vec();
    for (kind, time_ns, content) in contents {
        file.extend(block::encode(*kind, *time_ns, content).expect("a block"));
    }
    file
}

#[test]
fn the_real_one_is_read() {
    assert!(read(&encoded(&contents())));
}

/// Writes the beginnings of the fuzz target's corpus when it is asked to: a whole recording.
#[test]
fn blocks_are_seeds_of_the_fuzz_target() {
    let seed = |(kind, _, content): &(Kind, u64, Vec<u8>)| {
        let length = u16::try_from(content.len()).expect("the fixture is small");
        let kind = u8::try_from(kind.0).expect("kinds are few");
        [&[kind][..], &length.to_le_bytes(), content].concat()
    };
    let seeds: Vec<Vec<u8>> = contents().iter().skip(1).map(seed).collect();
    assert!(seeds.len() > 5);
    if std::env::var_os("MEMTRACE_WRITE_SEEDS").is_some() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/session_file");
        fs::create_dir_all(&corpus).expect("a directory");
        fs::write(corpus.join("whole"), seeds.concat()).expect("room for it");
    }
}

/// What a reader is told about a file.
fn notes(file: impl Read + Seek) -> Vec<String> {
    let mut reading = Reading::new(file, Path::new("other")).expect("it has a beginning");
    let profile = reading
        .profile(&Part::default(), settings(), &Lookup::default())
        .expect("it has a moment");
    assert!(!profile.sites.is_empty());
    profile.health.notes
}

#[test]
fn a_recording_of_another_architecture_is_read_and_says_so() {
    let mut all = contents();
    let start = String::from_utf8(all[0].2.clone()).expect("JSON");
    let other = start.replace("x86_64", "riscv64");
    assert_ne!(start, other);
    all[0].2 = other.into_bytes();
    let notes = notes(Cursor::new(encoded(&all)));
    assert!(
        notes.iter().any(|note| note.contains("recorded on riscv64")),
        "{notes:?}"
    );
}

#[test]
fn a_huge_file_is_read_up_to_what_makes_no_sense() {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(RECORDING).expect("room for it");
    file.set_len(1 << 40).expect("a hole takes no room");
    let notes = notes(file);
    let wanted = format!("damaged at byte {}", RECORDING.len());
    assert!(notes.iter().any(|note| note.contains(&wanted)), "{notes:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn changed_contents_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..6),
        large in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
        cut in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        again in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        times in prop::option::of(any::<u64>()),
    ) {
        let mut all = contents();
        for (block, at, value) in changes {
            let block = block.index(all.len());
            let content = &mut all[block].2;
            if !content.is_empty() {
                let at = at.index(content.len());
                content[at] = value;
            }
        }
        // The largest number, as numbers are packed in most blocks: sums of it overflow.
        for (block, at) in large {
            let block = block.index(all.len());
            let content = &mut all[block].2;
            if !content.is_empty() {
                let at = at.index(content.len());
                content.splice(at..=at, [0xff; 9].into_iter().chain([1]));
            }
        }
        if let Some((block, at)) = cut {
            let block = block.index(all.len());
            let length = at.index(all[block].2.len() + 1);
            all[block].2.truncate(length);
        }
        if let Some((from, to)) = again {
            let block = all[from.index(all.len())].clone();
            let to = to.index(all.len() + 1);
            all.insert(to, block);
        }
        if let Some(time_ns) = times {
            let last = all.len() - 1;
            all[last].1 = time_ns;
        }
        read(&encoded(&all));
    }

    #[test]
    fn any_contents_are_read_or_refused(
        blocks in prop::collection::vec((0..14_u16, any::<u64>(), prop::collection::vec(any::<u8>(), 0..60)), 0..6),
    ) {
        let mut all = contents();
        let place = 1 + blocks.len() % 3;
        for (kind, time_ns, content) in blocks {
            all.insert(place, (Kind(kind), time_ns, content));
        }
        read(&encoded(&all));
    }
}
