//! Locations, functions and mappings.

use super::{
    super::{
        level::{Level, Table, frame_at, frames, source},
        proto::{Function, Line, Location, Mapping},
    },
    Strings,
};
use crate::{
    profile::{Frame, Profile, Site},
    render::{escape, label},
};

/// Mappings begin at multiples of this. Any page size will do: addresses are not those of the target.
const PAGE: u64 = 4096;

/// Where the first mapping begins: an address of 0 is none.
const FIRST: u64 = 0x1_0000;

/// Locations while samples are made.
pub(super) struct Places<'a> {
    profile: &'a Profile,
    /// The calls at one address, innermost first.
    locations: Table<Vec<Level<'a>>>,
}

/// A module and the range of offsets in it that occur.
struct Range {
    name: String,
    first: u64,
    last: u64,
    /// Where it begins in the file's addresses, if there was room.
    start: Option<u64>,
}

/// The modules that locations are in.
struct Modules<'a> {
    names: Table<&'a str>,
    ranges: Vec<Range>,
    /// The number of each location's module, if it has one.
    of_location: Vec<Option<usize>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(profile: &'a Profile) -> Self {
        Self {
            profile,
            locations: Table::new(),
        }
    }

    /// The numbers of a site's locations, leaf first. A call that was inlined is one location with its caller.
    pub(super) fn stack(&mut self, site: &Site) -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut calls = Vec::new();
        for level in frames(self.profile, site).into_iter().rev() {
            calls.push(level);
            if !level.frame(self.profile).is_some_and(|frame| frame.inlined) {
                numbers.push(self.number(std::mem::take(&mut calls)));
            }
        }
        if !calls.is_empty() {
            numbers.push(self.number(calls));
        }
        numbers
    }

    fn number(&mut self, calls: Vec<Level<'a>>) -> u64 {
        self.locations.number(calls) as u64 + 1
    }

    /// All that the samples refer to.
    pub(super) fn finish(self, strings: &mut Strings) -> (Vec<Mapping>, Vec<Location>, Vec<Function>) {
        let Modules {
            names,
            ranges,
            of_location,
        } = self.modules();
        let mut functions = Table::new();
        let locations = (1_u64..)
            .zip(self.locations.all())
            .zip(&of_location)
            .map(|((id, calls), module)| {
                let address = module.and_then(|module| ranges[module].address(self.own(calls)?.offset));
                let line = |&call: &Level<'_>| {
                    let shown = call.shown(self.profile);
                    let file = call.frame(self.profile).and_then(source).unwrap_or_default();
                    let function = functions.number((strings.number(&shown.name), strings.number(&file)));
                    Line {
                        function_id: function as u64 + 1,
                        line: shown.line.map_or(0, i64::from),
                    }
                };
                Location {
                    id,
                    mapping_id: module.map_or(0, |module| module as u64 + 1),
                    address: address.unwrap_or(0),
                    line: calls.iter().map(line).collect(),
                }
            })
            .collect();
        let functions = (1_u64..)
            .zip(functions.all())
            .map(|(id, &(name, filename))| Function { id, name, filename })
            .collect();
        let mappings = (1_u64..)
            .zip(&ranges)
            .zip(names.all())
            .map(|((id, range), module)| range.mapping(id, self.profile, module, strings))
            .collect();
        (mappings, locations, functions)
    }

    /// The modules that locations are in, that of the program first: readers take the first for it.
    fn modules(&self) -> Modules<'a> {
        let mut names = Table::new();
        let mut ranges: Vec<Range> = Vec::new();
        let mut number = |frame: &'a Frame| {
            let (number, new) = names.add(frame.module.as_str());
            if new {
                ranges.push(Range {
                    name: label::module(frame),
                    first: frame.offset,
                    last: frame.offset,
                    start: None,
                });
            }
            let range = &mut ranges[number];
            range.first = range.first.min(frame.offset);
            range.last = range.last.max(frame.offset);
            number
        };
        let frames = || self.locations.all().iter().map(|calls| self.own(calls));
        let program = self.profile.target.executable.rsplit('/').next();
        if let Some(frame) = frames().flatten().find(|frame| Some(frame.module.as_str()) == program) {
            number(frame);
        }
        let of_location = frames().map(|frame| frame.map(&mut number)).collect();
        lay_out(&mut ranges);
        Modules {
            names,
            ranges,
            of_location,
        }
    }

    /// The frame that has code of its own at a location.
    fn own(&self, calls: &[Level<'a>]) -> Option<&'a Frame> {
        match calls.last() {
            Some(&Level::Frame(index)) => frame_at(self.profile, index),
            _ => None,
        }
    }
}

/// Gives each range addresses of its own. Where the modules were in the target is not known, and of several processes they are in
/// several places.
fn lay_out(ranges: &mut [Range]) {
    let mut next = Some(FIRST);
    for range in ranges {
        range.first -= range.first % PAGE;
        let length = (range.last - range.first).checked_next_multiple_of(PAGE);
        let end = next
            .zip(length)
            .and_then(|(start, length)| start.checked_add(length)?.checked_add(PAGE));
        range.start = end.and(next);
        // What is too large for the addresses that are left has none; those behind it may fit.
        next = end.or(next);
    }
}

impl Range {
    /// The address of an offset.
    fn address(&self, offset: u64) -> Option<u64> {
        self.start?.checked_add(offset.checked_sub(self.first)?)
    }

    fn mapping(&self, id: u64, profile: &Profile, module: &str, strings: &mut Strings) -> Mapping {
        let known = profile.module(module);
        let path = known
            .path
            .map_or_else(|| self.name.clone(), |path| escape::text(path).into_owned());
        Mapping {
            id,
            memory_start: self.start.unwrap_or(0),
            memory_limit: self.address(self.last).map_or(0, |last| last - last % PAGE + PAGE),
            file_offset: if self.start.is_some() { self.first } else { 0 },
            filename: strings.number(&path),
            build_id: strings.number(known.build_id.unwrap_or_default()),
            // There is nothing more to be found, so readers need not look for it.
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        }
    }
}
