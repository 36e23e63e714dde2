//! Reads a session file: first what there is, then what was known at a moment.

use std::io::{Read, Seek};

use memtrace_common::Op;

use super::{
    block::{BlockHead, Blocks, ReadError},
    content::{
        self, Changes, Detail, End, ModuleFacts, Moment, Names, NewSites, NewStacks, ProcessNews, RuntimeNames, Start,
        Sums,
    },
    readings::EarlierReading,
    state::State,
};
use crate::{
    ledger::{JsNews, JsShortageFacts, SiteKey},
    process::Location,
    profile::resident::Reading,
};

/// What a session file has.
#[derive(Debug)]
pub struct Outline {
    /// What was recorded.
    pub start: Start,
    /// The moments, in their order.
    pub moments: Vec<Known>,
    /// The end, unless the recording was cut off.
    pub end: Option<End>,
    /// Why it could not be read on, if so; what is before that is good.
    pub cut: Option<ReadError>,
    /// Whether it has every event.
    pub has_events: bool,
    /// Blocks of names.
    names: Vec<BlockHead>,
    /// Blocks of names of runtimes' own code.
    runtime_names: Vec<BlockHead>,
    /// Bytes of the file that could be read.
    pub good: u64,
}

/// A moment of a recording.
#[derive(Clone, Debug)]
pub struct Known {
    /// Kernel time in nanoseconds.
    pub time_ns: u64,
    /// The numbers of the whole observation.
    pub sums: Sums,
    /// Where its last block ends in the file.
    end: u64,
}

/// An open session file.
pub struct Session<R> {
    blocks: Blocks<R>,
    /// What it has.
    pub outline: Outline,
}

impl<R: Read + Seek> Session<R> {
    /// Looks through a file.
    ///
    /// # Errors
    /// What is no recording, is of a newer format, or has no beginning. What follows a damaged block is left out.
    pub fn open(file: R) -> Result<Self, ReadError> {
        let mut blocks = Blocks::open(file)?;
        let first = blocks.next_head()?.ok_or(ReadError::NoStart)?;
        if first.kind != content::START {
            return Err(ReadError::NoStart);
        }
        let start = blocks.content(&first)?;
        let start = content::unpack_json(&start).ok_or(ReadError::Damaged(first.offset))?;
        let mut outline = Outline {
            start,
            moments: Vec::new(),
            end: None,
            cut: None,
            has_events: false,
            names: Vec::new(),
            runtime_names: Vec::new(),
            good: first.end(),
        };
        loop {
            match look(&mut blocks, &mut outline) {
                Ok(true) => {}
                Ok(false) => break,
                Err(ReadError::Io(error)) => return Err(error.into()),
                Err(error) => {
                    outline.cut = Some(error);
                    break;
                }
            }
        }
        Ok(Self { blocks, outline })
    }

    /// What was known at the last moment that is not after `time_ns`, which is seen with every moment up to there. `None` when
    /// that is before the first.
    ///
    /// # Errors
    /// A file that is damaged before.
    pub fn state_at(&mut self, time_ns: u64, mut seen: impl FnMut(&State)) -> Result<Option<State>, ReadError> {
        let known = self.outline.moments.partition_point(|moment| moment.time_ns <= time_ns);
        let Some(last) = known.checked_sub(1).and_then(|last| self.outline.moments.get(last)) else {
            return Ok(None);
        };
        let (until_ns, until) = (last.time_ns, last.end);
        self.blocks.rewind();
        let mut state = State::default();
        while let Some(head) = self.next_good()? {
            // Details come behind their moment.
            if head.offset >= until && (head.kind != content::DETAIL || head.time_ns > until_ns) {
                break;
            }
            if !matches!(
                head.kind,
                content::MODULES
                    | content::STACKS
                    | content::SITES
                    | content::PROCESSES
                    | content::CHANGES
                    | content::MOMENT
                    | content::EARLIER_RESIDENT
                    | content::RESIDENT
                    | content::JS_HEAPS
                    | content::JS_SHORTAGES
                    | content::DETAIL
            ) {
                continue;
            }
            let content = self.blocks.content(&head)?;
            let whole = apply(&mut state, &head, &content).ok_or(ReadError::Damaged(head.offset))?;
            if whole {
                state.time_ns = head.time_ns;
                seen(&state);
            }
        }
        Ok(Some(state))
    }

    /// The next block of those that can be read.
    fn next_good(&mut self) -> Result<Option<BlockHead>, ReadError> {
        if self.blocks.position() >= self.outline.good {
            return Ok(None);
        }
        self.blocks.next_head()
    }

    /// The names of locations that were found as it was recorded.
    ///
    /// # Errors
    /// A file that is damaged there.
    pub fn names(&mut self) -> Result<Vec<Names>, ReadError> {
        let heads = &self.outline.names;
        heads
            .iter()
            .map(|head| content::unpack(&self.blocks.content(head)?).ok_or(ReadError::Damaged(head.offset)))
            .collect()
    }

    /// The names of places in runtimes' own code.
    ///
    /// # Errors
    /// A file that is damaged there.
    pub fn runtime_names(&mut self) -> Result<Vec<RuntimeNames>, ReadError> {
        let heads = &self.outline.runtime_names;
        heads
            .iter()
            .map(|head| content::unpack(&self.blocks.content(head)?).ok_or(ReadError::Damaged(head.offset)))
            .collect()
    }

    /// The frames of every event, block for block. Stops at the first block that `each` does not take.
    ///
    /// # Errors
    /// A file that is damaged before its end.
    pub fn events(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError> {
        self.blocks.rewind();
        while let Some(head) = self.next_good()? {
            if head.kind == content::EVENTS && !each(&self.blocks.content(&head)?) {
                break;
            }
        }
        Ok(())
    }
}

/// Takes note of the next block; `false` at the end of the file.
fn look<R: Read + Seek>(blocks: &mut Blocks<R>, outline: &mut Outline) -> Result<bool, ReadError> {
    let Some(head) = blocks.next_head()? else {
        return Ok(false);
    };
    let damaged = || ReadError::Damaged(head.offset);
    match head.kind {
        content::MOMENT => {
            let moment: Moment = content::unpack(&blocks.content(&head)?).ok_or_else(damaged)?;
            outline.moments.push(Known {
                time_ns: head.time_ns,
                sums: moment.sums,
                end: head.end(),
            });
        }
        content::END => outline.end = Some(content::unpack_json(&blocks.content(&head)?).ok_or_else(damaged)?),
        content::NAMES => outline.names.push(head),
        content::RUNTIME_NAMES => outline.runtime_names.push(head),
        content::EVENTS => outline.has_events = true,
        _ => {}
    }
    outline.good = head.end();
    Ok(true)
}

/// Takes a block into what is known; `true` when a moment is complete. `None` for one that makes no sense.
fn apply(state: &mut State, head: &BlockHead, content: &[u8]) -> Option<bool> {
    match head.kind {
        content::MODULES => state.modules.extend(content::unpack_json::<Vec<ModuleFacts>>(content)?),
        content::STACKS => add_stacks(state, &content::unpack(content)?)?,
        content::SITES => add_sites(state, &content::unpack(content)?)?,
        content::PROCESSES => {
            let news: ProcessNews = content::unpack_json(content)?;
            state.groups.extend(news.groups);
            state.who.extend(news.processes);
        }
        content::DETAIL => {
            let detail: Detail = content::unpack(content)?;
            state.detailed_ns = head.time_ns;
            let mut next = 0_usize;
            for (gap, facts) in detail.sites.into_iter().zip(detail.facts) {
                next = next.checked_add(gap as usize)?;
                *state.details.get_mut(next.checked_sub(1)?)? = Some(Box::new(facts));
            }
        }
        content::EARLIER_RESIDENT => {
            let readings: Vec<(u32, EarlierReading)> = content::unpack(content)?;
            for (incarnation, reading) in readings {
                state.resident.entry(incarnation).or_default().add(reading.into());
            }
        }
        content::RESIDENT => {
            let readings: Vec<(u32, Reading)> = content::unpack(content)?;
            for (incarnation, reading) in readings {
                state.resident.entry(incarnation).or_default().add(reading);
            }
        }
        content::JS_HEAPS => {
            let news: Vec<JsNews> = content::unpack(content)?;
            for news in news {
                state.js_heaps.learn(head.time_ns, news);
            }
        }
        content::JS_SHORTAGES => {
            let news: Vec<JsShortageFacts> = content::unpack(content)?;
            for facts in news {
                state.js_shortages.learn(facts, state.stacks())?;
            }
        }
        content::CHANGES => add_changes(state, &content::unpack(content)?)?,
        content::MOMENT => {
            let moment: Moment = content::unpack(content)?;
            for facts in moment.processes {
                state.processes.insert(facts.incarnation, facts);
            }
            for incarnation in moment.replaced {
                state.processes.remove(&incarnation);
            }
            state.totals = moment.sums;
            return Some(true);
        }
        _ => {}
    }
    Some(false)
}

fn add_stacks(state: &mut State, new: &NewStacks) -> Option<()> {
    let mut address = state.last_address();
    for ((&back, &module), &step) in new.back.iter().zip(&new.modules).zip(&new.addresses) {
        address = address.wrapping_add_signed(step);
        state.add_node(back, Location { module, address })?;
    }
    for (&leaf, &whole) in new.leaves.iter().zip(&new.whole) {
        state.add_stack(leaf, whole)?;
    }
    Some(())
}

fn add_sites(state: &mut State, new: &NewSites) -> Option<()> {
    for ((&op, &stack), &group) in new.ops.iter().zip(&new.stacks).zip(&new.groups) {
        state.add_site(SiteKey {
            op: Op::from_u8(op)?,
            stack: stack.checked_sub(1),
            group,
        })?;
    }
    Some(())
}

fn add_changes(state: &mut State, changes: &Changes) -> Option<()> {
    let mut by = changes.by.iter();
    let mut next = 0_usize;
    for (&gap, &mask) in changes.sites.iter().zip(&changes.masks) {
        next = next.checked_add(gap as usize)?;
        let numbers = state.sums.get_mut(next.checked_sub(1)?)?;
        for (bit, number) in numbers.iter_mut().enumerate() {
            if mask & 1 << bit != 0 {
                *number = number.wrapping_add_signed(*by.next()?);
            }
        }
    }
    Some(())
}
