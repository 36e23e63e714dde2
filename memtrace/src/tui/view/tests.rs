//! What the screen looks like.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use ratatui_core::{
    backend::TestBackend,
    buffer::Buffer,
    style::{Color, Modifier},
    terminal::Terminal,
};

use super::*;
use crate::{
    profile::{Frame, FrameKind, Moment, Profile, fixture},
    render::escape,
    tui::{Input, Key, Player, Request},
};

const COLOURS: (&str, &str, bool) = ("xterm-256color", "truecolor", false);
const PLAIN: (&str, &str, bool) = ("xterm", "", true);

fn state(size: (u16, u16), profile: Profile) -> State {
    let mut state = State::new(size, None);
    state.update(Input::Profile(Arc::new(profile)));
    state
}

fn press(state: &mut State, keys: &str) {
    for key in keys.chars() {
        let key = match key {
            '\t' => Key::Tab,
            '\n' => Key::Enter,
            '\u{1b}' => Key::Escape,
            key => Key::Char(key),
        };
        assert!(state.update(Input::Key(key)).is_none(), "{key:?}");
    }
}

fn buffer(state: &State, (term, colorterm, no_color): (&str, &str, bool)) -> Buffer {
    let (columns, lines) = state.size();
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    let palette = Palette::new(term, colorterm, no_color);
    terminal.draw(|frame| view(state, palette, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of the screen, without the blanks at their ends.
fn drawn(state: &State) -> String {
    let text = TestBackend::with_lines(lines(&buffer(state, PLAIN))).to_string();
    text.lines()
        .map(|line| line.trim_matches('"').trim_end().to_owned() + "\n")
        .collect()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let rows = buffer.area.rows();
    rows.map(|row| {
        let mut line = String::new();
        let mut skip = 0;
        for position in row.positions() {
            let symbol = buffer[position].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
            }
            skip -= 1;
        }
        line
    })
    .collect()
}

/// With moments to tell a rate by, and frames of every kind.
fn whole() -> Profile {
    let mut profile = fixture::normal();
    profile.timeline = (0..60_u32)
        .map(|second| Moment {
            at: Duration::from_secs(second.into()),
            allocated_bytes: Some(u64::from(second) << 20),
            ..Moment::default()
        })
        .collect();
    let stack = profile.sites[0].stack.unwrap();
    for (kind, function, file) in [
        (FrameKind::Python, "handle_request", "app/views.py"),
        (FrameKind::JavaScript, "onMessage", "src/socket.js"),
        (FrameKind::Kernel, "do_mmap", "mm/mmap.c"),
    ] {
        let index = u32::try_from(profile.frames.len()).unwrap();
        profile.frames.push(Frame {
            kind,
            ..fixture::line(function, "app", file, 7)
        });
        profile.stacks[stack].insert(1, index);
    }
    profile
}

#[test]
fn screens_of_every_profile() {
    for (name, profile) in fixture::all() {
        for (columns, lines) in [(80, 24), (40, 10)] {
            let screen = drawn(&state((columns, lines), profile.clone()));
            insta::assert_snapshot!(format!("top_{name}_{columns}x{lines}"), screen);
        }
    }
}

#[test]
fn that_v8_has_no_room_is_on_every_screen() {
    for (columns, lines) in [(80, 24), (80, 10)] {
        let screen = drawn(&state((columns, lines), fixture::short_of_heap()));
        assert!(
            screen.contains("! JavaScript: V8 ran out of heap after 59 s in parse; "),
            "{screen}"
        );
    }
}

#[test]
fn every_table() {
    for (profile, name) in [
        (whole(), "whole"),
        (fixture::many(), "many"),
        (fixture::sampled(), "sampled"),
    ] {
        let mut state = state((100, 24), profile);
        for table in ["functions", "modules", "processes", "leaks"] {
            press(&mut state, "\t");
            insta::assert_snapshot!(format!("top_{name}_{table}"), drawn(&state));
        }
    }
}

#[test]
fn a_large_terminal() {
    insta::assert_snapshot!("top_whole_200x60", drawn(&state((200, 60), whole())));
}

#[test]
fn help_prompt_and_pause() {
    let mut state = state((80, 24), whole());
    press(&mut state, "?");
    insta::assert_snapshot!("top_help", drawn(&state));
    press(&mut state, "x/json(");
    assert!(drawn(&state).contains("/json("));
    press(&mut state, "\n");
    assert!(drawn(&state).contains("failed to read \"json(\" as a regular expression"));
    press(&mut state, "\u{1b}/handle_\np");
    let mut later = whole();
    later.observed += Duration::from_secs(25);
    later.totals.live.bytes += 1 << 30;
    let before = drawn(&state);
    state.update(Input::Profile(Arc::new(later)));
    insta::assert_snapshot!("top_paused", drawn(&state));
    assert_eq!(
        before.lines().skip(1).collect::<Vec<_>>(),
        drawn(&state).lines().skip(1).collect::<Vec<_>>()
    );
    press(&mut state, "p");
    assert!(drawn(&state).contains("live 1.0 GiB") && !drawn(&state).contains("PAUSED"));
}

#[test]
fn changes_since_a_baseline() {
    let mut state = state((80, 24), whole());
    press(&mut state, "b");
    let mut later = whole();
    later.observed += Duration::from_secs(5);
    later.sites[1].live.bytes += 4096;
    later.totals.live.bytes += 4096;
    state.update(Input::Profile(Arc::new(later.finished())));
    press(&mut state, "2");
    let screen = drawn(&state);
    assert!(screen.contains("+4.0 KiB since the baseline at 1 min"), "{screen}");
    let first = screen.lines().nth(6).unwrap();
    assert!(first.contains("+4.0 KiB"), "it is sorted by change: {screen}");
    press(&mut state, "B");
    assert!(!drawn(&state).contains("baseline at"));
}

#[test]
fn what_was_live_before_it_was_suspected_is_no_change() {
    let mut profiles = fixture::all().into_iter().map(|(_, profile)| profile);
    let is_told = |site: &crate::profile::Site| {
        let told = site.suspicion.as_ref().is_some_and(|found| !found.is_suppressed());
        told && site.live.bytes > 0
    };
    let later = profiles.find(|profile| profile.sites.iter().any(is_told));
    let later = later.expect("a fixture with a leak");
    let mut before = later.clone();
    for site in &mut before.sites {
        site.suspicion = None;
        site.live.bytes -= site.live.bytes / 4;
    }
    let mut state = state((100, 24), before);
    press(&mut state, "b\t\t\t\t");
    assert!(state.rows.is_empty(), "nothing is suspected yet");
    state.update(Input::Profile(Arc::new(later.clone())));
    assert!(!state.rows.is_empty());
    for row in &state.rows {
        let crate::tui::table::Subject::Site(index) = row.subject else {
            panic!("a leak is of a site")
        };
        let quarter = later.sites[index].live.bytes / 4;
        assert_eq!(row.change, Some(quarter as f64));
    }
}

#[test]
fn a_recording() {
    let mut state = State::new((80, 24), Player::new((0..90).map(Duration::from_secs).collect()));
    assert!(drawn(&state).contains("reading moment 1 of 90"));
    state.update(Input::Moment(0, Arc::new(whole())));
    assert!(matches!(state.update(Input::Key(Key::Right)), Some(Request::Seek(1))));
    // The numbers are still those of the first.
    assert!(drawn(&state).contains("reading moment 2, 0 s of 1 min 29 s, moment 1 of 90, x1"));
    assert!(matches!(state.update(Input::Key(Key::Right)), Some(Request::Seek(2))));
    state.update(Input::Moment(1, Arc::new(whole())));
    assert!(drawn(&state).contains("reading moment 3, 1 s of 1 min 29 s, moment 2 of 90, x1"));
    assert!(matches!(state.update(Input::Key(Key::Left)), Some(Request::Seek(1))));
    state.update(Input::Moment(1, Arc::new(whole())));
    press(&mut state, "+ ");
    insta::assert_snapshot!("top_replay", drawn(&state));
    assert!(matches!(
        state.update(Input::Passed(Duration::from_secs(2))),
        Some(Request::Seek(5))
    ));
    state.update(Input::Unread(5, "failed to read the recording x".into()));
    assert!(drawn(&state).contains("failed to read the recording x"));
}

#[test]
fn the_end_and_what_is_said() {
    let mut state = State::new((80, 24), None);
    assert!(drawn(&state).contains("waiting for the first numbers"));
    state.update(Input::Ended(Arc::new(fixture::exited())));
    assert!(drawn(&state).contains("ended: the target exited"));
    assert!(matches!(
        state.update(Input::Key(Key::Char('w'))),
        Some(Request::Save(_))
    ));
    state.update(Input::Saved(Ok("memtrace-1".into())));
    assert!(drawn(&state).contains("saved in memtrace-1"));
    state.update(Input::Saved(Err("failed to write \u{1b}[2J".into())));
    assert!(drawn(&state).contains("failed to write \\u{1b}[2J"));
    assert!(matches!(state.update(Input::Key(Key::Char('q'))), Some(Request::Leave)));
    assert!(matches!(state.update(Input::Key(Key::Ctrl('c'))), Some(Request::Leave)));
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    let mut state = state((30, 5), whole());
    assert!(
        drawn(&state)
            .replace('\n', " ")
            .contains("terminal too small: needs 40x8, has 30x5")
    );
    state.update(Input::Resize(40, 8));
    assert!(drawn(&state).contains("redis-server"));
}

#[test]
fn a_terminal_that_shrinks_before_it_is_drawn_breaks_nothing() {
    let mut state = state((120, 40), whole());
    for keys in ["", "\t\t", "\t", "/a", "\n?"] {
        press(&mut state, keys);
        for (columns, lines) in [(119, 39), (80, 24), (40, 8), (30, 5), (1, 1)] {
            let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
            let palette = Palette::new("xterm", "", true);
            terminal.draw(|frame| view(&state, palette, frame)).unwrap();
        }
    }
}

#[test]
fn losses_are_marked() {
    let losses = |colours| {
        let buffer = buffer(&state((80, 24), fixture::lossy()), colours);
        let cell = &buffer[(0, 3)];
        assert_eq!(cell.symbol(), "!");
        (cell.bg, cell.modifier)
    };
    assert_eq!(losses(COLOURS).0, Color::Rgb(0xd5, 0x5e, 0x00));
    assert!(losses(PLAIN).1.contains(Modifier::REVERSED));
}

#[test]
fn kinds_have_letters_and_colours() {
    let state = state((80, 24), whole());
    let (coloured, plain) = (buffer(&state, COLOURS), buffer(&state, PLAIN));
    let pane = state.areas().pane;
    let letters: Vec<_> = (pane.y + 1..pane.bottom())
        .map(|line| coloured[(0, line)].clone())
        .collect();
    let named: String = letters.iter().map(ratatui_core::buffer::Cell::symbol).collect();
    assert!(named.starts_with("nkjpn"), "{named}");
    let colours: Vec<_> = letters[..5].iter().map(|cell| cell.bg).collect();
    for (index, colour) in colours[1..4].iter().enumerate() {
        assert!(!colours[..=index].contains(colour), "{colours:?}");
    }
    assert!(
        plain
            .content()
            .iter()
            .all(|cell| cell.bg == Color::Reset && cell.fg == Color::Reset)
    );
}

#[test]
fn the_same_row_stays_chosen() {
    let mut state = state((80, 24), whole());
    press(&mut state, "j");
    let chosen = state.row().unwrap().key;
    let mut later = whole();
    later.sites[1].live.bytes = 1 << 40;
    state.update(Input::Profile(Arc::new(later.finished())));
    assert_eq!((state.row().unwrap().key, state.selected), (chosen, 0));
}

proptest! {
    #[test]
    fn whatever_is_pressed_at_any_size_nothing_breaks(
        columns in 0..150_u16,
        lines in 0..60_u16,
        keys in "[jkgGJKsr1-9bBp/?a-c(\t\n\u{1b}wq]{0,30}",
        which in 0..7_usize,
    ) {
        let (_, profile) = fixture::all().into_iter().nth(which).unwrap();
        let mut state = state((columns, lines), profile.clone());
        for key in keys.chars() {
            let key = match key {
                '\t' => Key::Tab,
                '\n' => Key::Enter,
                '\u{1b}' => Key::Escape,
                'a' => Key::PageDown,
                'c' => Key::End,
                key => Key::Char(key),
            };
            state.update(Input::Key(key));
            state.update(Input::Profile(Arc::new(profile.clone())));
        }
        for line in lines_of(&state) {
            prop_assert!(!line.contains(escape::is_unsafe), "{line:?}");
        }
        state.update(Input::Resize(80, 24));
        prop_assert_eq!(lines_of(&state).len(), 24);
    }
}

fn lines_of(state: &State) -> Vec<String> {
    lines(&buffer(state, COLOURS))
}
