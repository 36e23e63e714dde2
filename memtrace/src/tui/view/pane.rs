//! The pane below the table: all that is known of the chosen row, the whole stack above all.

use ratatui_core::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::Span,
};

use super::{Palette, cells, palette::letter, put};
use crate::{
    profile::{Frame, Process, Profile, Site},
    render::{
        escape, label,
        layout::{elide, truncate, wrap},
    },
    tui::{
        state::State,
        table::{Row, Subject, Table},
    },
    units::{bytes, duration, plural},
};

/// Sites of a function or a module that are listed.
const SITES: usize = 100;

/// A line of the pane.
type Words = Vec<Span<'static>>;

/// How many lines the pane would like to have.
pub(in crate::tui) fn lines(state: &State) -> usize {
    content(state, Palette::new("", "", true)).1.len()
}

pub(super) fn draw(state: &State, palette: Palette, area: Rect, out: &mut Buffer) {
    let (title, content) = content(state, palette);
    let room = usize::from(state.areas().pane_lines());
    let first = state.pane_first.min(content.len().saturating_sub(room));
    let mut lines = area.rows();
    if usize::from(area.height) > room
        && let Some(line) = lines.next()
    {
        let below = content.len().saturating_sub(first + room);
        let more = match (first, below) {
            (0, 0) => String::new(),
            (above, below) => format!(" [{above} lines above, {below} below: J, K]"),
        };
        let columns = usize::from(area.width);
        let title = truncate(&title, columns.saturating_sub(more.len()));
        let title = format!("{:<columns$}", format!("{title}{more}"));
        let style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        put(out, line, [Span::styled(title, style)]);
    }
    for (line, words) in lines.zip(content.into_iter().skip(first)) {
        put(out, line, words);
    }
}

/// The title and the lines.
fn content(state: &State, palette: Palette) -> (String, Vec<Words>) {
    let columns = usize::from(state.size.0);
    let (Some(profile), Some(row)) = (state.profile(), state.row()) else {
        return (String::new(), Vec::new());
    };
    match &row.subject {
        Subject::Site(_) => cells::site(profile, row).map_or_else(Default::default, |site| {
            of_site(profile, state.table, row, site, palette, columns)
        }),
        Subject::Code { sites, .. } => {
            let sites = sites.iter().filter_map(|&index| profile.sites.get(index));
            let sites: Vec<_> = sites.filter(|site| site.live.count > 0).collect();
            let title = format!("live through it: {}", plural(sites.len() as u64, "site"));
            let lines = sites.into_iter().take(SITES).map(|site| brief(profile, site, columns));
            (title, lines.collect())
        }
        Subject::Process(index) => profile.processes.get(*index).map_or_else(Default::default, |process| {
            let lines = of_process(process).into_iter();
            let lines = lines.flat_map(|line| wrap(&line, columns));
            let title = label::process(&process.command, process.pid, columns);
            (
                title,
                lines.map(|line| vec![Span::raw(elide(&line, columns))]).collect(),
            )
        }),
    }
}

/// Why it is suspected, and its stack.
fn of_site(
    profile: &Profile,
    table: Table,
    row: &Row,
    site: &Site,
    palette: Palette,
    columns: usize,
) -> (String, Vec<Words>) {
    let group = profile
        .group(site)
        .map_or_else(String::new, |group| format!(", of {}", label::command(group)));
    let amount = crate::profile::Amount {
        bytes: row.live,
        count: row.blocks,
    };
    let title = format!("{} by {}{group}", label::amount(amount), site.op.name());
    let mut lines: Vec<Words> = Vec::new();
    if let Some(found) = site.suspicion.as_ref().filter(|_| table == Table::Leaks) {
        let verdict = format!("{}, score {} of 100", label::verdict(found.verdict), found.score);
        lines.push(vec![Span::styled(verdict, Palette::strong())]);
        for reason in &found.reasons {
            for (mark, line) in ["- "]
                .into_iter()
                .chain(std::iter::repeat("  "))
                .zip(wrap(reason, columns.saturating_sub(2)))
            {
                lines.push(vec![Span::raw(format!("{mark}{line}"))]);
            }
        }
    }
    let executable = profile.target.executable.rsplit('/').next().unwrap_or_default();
    let frame = |frame: &Frame| {
        let style = if frame.is_plumbing() {
            Palette::faint()
        } else {
            Style::new()
        };
        let inlined = if frame.inlined { "(inlined) " } else { "" };
        let text = label::frame(frame, columns.saturating_sub(2 + inlined.len()));
        vec![
            Span::styled(letter(frame.kind), palette.kind(frame, executable)),
            Span::raw(" "),
            Span::styled(format!("{inlined}{text}"), style),
        ]
    };
    let before = lines.len();
    lines.extend(profile.stack(site).map(frame));
    if lines.len() == before {
        lines.push(vec![Span::raw(label::no_stack(profile, site))]);
    }
    (title, lines)
}

/// A site in one line.
fn brief(profile: &Profile, site: &Site, columns: usize) -> Words {
    let stack: Vec<_> = profile.calling_stack(site).into_iter().map(label::function).collect();
    let stack = if stack.is_empty() {
        label::no_stack(profile, site).to_owned()
    } else {
        stack.join(" < ")
    };
    let line = format!("{:>10}  {stack}", bytes(site.live.bytes));
    vec![Span::raw(truncate(&line, columns))]
}

/// What is not in the row of a process.
fn of_process(process: &Process) -> Vec<String> {
    let mut all = Vec::new();
    if !process.executable.is_empty() {
        all.push(format!("executable {}", escape::text(&process.executable)));
    }
    if let Some(container) = &process.container {
        all.push(format!("container {}", escape::text(container)));
    }
    if let Some(parent) = process.parent {
        all.push(format!("forked by {parent}"));
    }
    if let Some(began) = process.began {
        all.push(format!("began at {}", duration(began)));
    }
    if let Some(late) = process.late {
        all.push(format!("joined late: its first {} were not seen", duration(late)));
    }
    if let Some(ended) = process.ended {
        let left = label::amount(process.at_exit);
        all.push(format!("ended at {} with {left} live", duration(ended)));
    }
    if process.inherited_unknown {
        all.push("inherited from its parent: unknown, too many blocks".into());
    } else if process.inherited.count > 0 {
        let inherited = label::amount(process.inherited);
        all.push(format!("inherited from its parent and not freed: {inherited}"));
    }
    for allocator in &process.allocators {
        let hooks = plural(allocator.hooks.len() as u64, "hook");
        let (name, path) = (escape::text(&allocator.name), escape::text(&allocator.path));
        all.push(format!("{name}, {hooks} in {path}"));
    }
    let unhooked = process
        .unhooked
        .iter()
        .map(|reason| format!("not hooked: {}", escape::text(reason)));
    all.extend(unhooked);
    if process.not_kept > 0 {
        all.push(format!("{} without room", plural(process.not_kept, "allocation")));
    }
    all
}
