//! The entries of a section of call frame information.

use gimli::{BaseAddresses, CieOrFde, CommonInformationEntry, UnwindOffset, UnwindSection, X86_64};
use memtrace_common::unwind::Rule;
use rustc_hash::FxHashMap;

use super::{
    error::{TableError, bounded},
    limits,
    program::Machine,
    state::{Bytes, State},
};

/// Where the rules of a range of code are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fde {
    /// First address.
    pub(super) begin: u64,
    /// Address behind the last.
    pub(super) end: u64,
    /// Where it is in its section.
    pub(super) offset: u32,
    /// Number of its common part.
    cie: u32,
}

/// The part that functions have in common.
#[derive(Debug)]
struct Cie<'d> {
    entry: CommonInformationEntry<Bytes<'d>>,
    /// The state after its instructions; none where they make no sense or are another machine's.
    initial: Option<State>,
}

/// A section, and what was found in it.
#[derive(Debug)]
pub(super) struct Cfi<'d, S> {
    section: S,
    bases: BaseAddresses,
    cies: Vec<Cie<'d>>,
    /// The functions described, in the section's order.
    pub(super) fdes: Vec<Fde>,
    /// Entries that could not be read.
    pub(super) damaged: usize,
}

impl<'d, S: UnwindSection<Bytes<'d>>> Cfi<'d, S> {
    /// Finds the entries of a section.
    ///
    /// An entry refers to a common part that stands before it: compilers write them so, in `.eh_frame` they have to, and the
    /// common parts that are met this way do not overlap, so that reading them takes no longer than the section does.
    pub(super) fn read(section: S, bases: BaseAddresses) -> Result<Self, TableError> {
        let mut found = Self {
            section,
            bases,
            cies: Vec::new(),
            fdes: Vec::new(),
            damaged: 0,
        };
        let mut cies: FxHashMap<usize, u32> = FxHashMap::default();
        let bases = found.bases.clone();
        let mut entries = found.section.entries(&bases);
        let mut last = (usize::MAX, 0);
        loop {
            match entries.next() {
                Ok(Some(CieOrFde::Cie(entry))) => {
                    cies.insert(entry.offset(), u32::try_from(found.cies.len()).unwrap_or(u32::MAX));
                    found.add_cie(entry);
                }
                Ok(Some(CieOrFde::Fde(partial))) => {
                    let at = UnwindOffset::into(partial.cie_offset());
                    if last.0 != at {
                        let Some(&cie) = cies.get(&at) else {
                            found.damaged += 1;
                            continue;
                        };
                        last = (at, cie);
                    }
                    let cie = found.entry(last.1);
                    match partial.parse(|_, _, _| cie.cloned().ok_or(gimli::Error::NoEntryAtGivenOffset(0))) {
                        Ok(fde) => found.fdes.push(Fde {
                            begin: fde.initial_address(),
                            end: fde.initial_address().saturating_add(fde.len()),
                            offset: u32::try_from(fde.offset()).unwrap_or(u32::MAX),
                            cie: last.1,
                        }),
                        Err(_) => found.damaged += 1,
                    }
                    bounded("functions", found.fdes.len() as u64, limits::MAX_FDES as u64)?;
                }
                Ok(None) => break,
                Err(_) => {
                    // The length of this entry is not known, so there is no next one.
                    found.damaged += 1;
                    break;
                }
            }
        }
        Ok(found)
    }

    fn add_cie(&mut self, entry: CommonInformationEntry<Bytes<'d>>) {
        let usual = entry.return_address_register() == X86_64::RA && entry.address_size() == 8;
        let initial = usual
            .then(|| {
                Machine::new(&self.section, entry.data_alignment_factor(), None)
                    .run_initial(entry.instructions(&self.section, &self.bases))
            })
            .flatten();
        self.cies.push(Cie { entry, initial });
    }

    fn entry(&self, cie: u32) -> Option<&CommonInformationEntry<Bytes<'d>>> {
        Some(&self.cies.get(cie as usize)?.entry)
    }

    /// Hands out the rules of a function, each with the address from which it holds, by address. What cannot be understood is
    /// [`Rule::UNSUPPORTED`] to the function's end.
    pub(super) fn rules<E>(&self, fde: &Fde, mut row: impl FnMut(u64, Rule) -> Result<(), E>) -> Result<(), E> {
        let Some(cie) = self.cies.get(fde.cie as usize) else {
            return row(fde.begin, Rule::UNSUPPORTED);
        };
        if cie.entry.is_signal_trampoline() {
            return row(fde.begin, Rule::SIGNAL);
        }
        let entry = self
            .section
            .fde_from_offset(&self.bases, (fde.offset as usize).into(), |_, _, _| {
                Ok(cie.entry.clone())
            });
        let (Ok(entry), Some(initial)) = (entry, cie.initial) else {
            return row(fde.begin, Rule::UNSUPPORTED);
        };
        let mut instructions = entry.instructions(&self.section, &self.bases);
        let mut machine = Machine::new(&self.section, cie.entry.data_alignment_factor(), Some(initial));
        // The function may have been cut at its beginning and at its end; instructions count from the whole.
        let mut at = entry.initial_address();
        while at < fde.end {
            let next = match instructions.next() {
                Ok(None) => fde.end,
                Ok(Some(instruction)) => match advance(&instruction, at, cie.entry.code_alignment_factor()) {
                    None if machine.apply(&instruction).is_ok() => continue,
                    Some(next) if next >= at => next,
                    _ => return row(at.max(fde.begin), Rule::UNSUPPORTED),
                },
                Err(_) => return row(at.max(fde.begin), Rule::UNSUPPORTED),
            };
            if next > at && next > fde.begin {
                row(at.max(fde.begin), machine.state().rule())?;
            }
            at = next;
        }
        Ok(())
    }
}

/// The address that an instruction goes on to, if it is of that kind.
const fn advance(instruction: &gimli::CallFrameInstruction<usize>, at: u64, alignment: u64) -> Option<u64> {
    match *instruction {
        gimli::CallFrameInstruction::SetLoc { address } => Some(address),
        gimli::CallFrameInstruction::AdvanceLoc { delta } => {
            Some(at.saturating_add((delta as u64).saturating_mul(alignment)))
        }
        _ => None,
    }
}
