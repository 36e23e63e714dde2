//! Which processes have which layout: a child has its parent's until it maps code of its own.

use memtrace_common::space::Space;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Code, Layout,
    epoch::Epochs,
    files::Files,
    layout::{Known, agree, known},
};

/// The layouts of all processes.
#[derive(Default)]
pub(super) struct Shared {
    /// By the incarnation that they were read of.
    owners: FxHashMap<u32, Owner>,
    /// Whose layout a process has, itself included.
    owner_of: FxHashMap<u32, u32>,
}

/// A layout and who has it.
struct Owner {
    layout: Layout,
    epochs: Epochs,
    epoch: u64,
    users: u32,
    /// What the BPF side has, with its generation.
    published: Option<(u32, Vec<Known>)>,
}

impl Shared {
    /// A process was read. Gives back what the BPF side can forget: the layout that it had before, when nobody has that any more.
    pub(super) fn laid_out(&mut self, layout: Layout) -> Option<u32> {
        let incarnation = layout.incarnation;
        if let Some(owner) = self.owners.get_mut(&incarnation)
            && self.owner_of.get(&incarnation) == Some(&incarnation)
        {
            owner.epoch = owner.epochs.of(&layout);
            owner.layout = layout;
            return None;
        }
        let gone = self.release(incarnation);
        let mut epochs = Epochs::default();
        let epoch = epochs.of(&layout);
        let owner = Owner {
            layout,
            epochs,
            epoch,
            users: 1,
            published: None,
        };
        self.owners.insert(incarnation, owner);
        self.owner_of.insert(incarnation, incarnation);
        gone
    }

    /// A child has its parent's layout.
    pub(super) fn forked(&mut self, parent: u32, child: u32) {
        if let Some(&of) = self.owner_of.get(&parent)
            && let Some(owner) = self.owners.get_mut(&of)
        {
            owner.users += 1;
            self.owner_of.insert(child, of);
        }
    }

    /// A program is gone. Gives back what the BPF side can forget: its own, unless others have it, and what it shared, when it was
    /// the last to do so.
    pub(super) fn ended(&mut self, incarnation: u32) -> impl Iterator<Item = u32> {
        let released = self.release(incarnation).filter(|&of| of != incarnation);
        let own = (!self.owners.contains_key(&incarnation)).then_some(incarnation);
        own.into_iter().chain(released)
    }

    fn release(&mut self, incarnation: u32) -> Option<u32> {
        let of = self.owner_of.remove(&incarnation)?;
        let owner = self.owners.get_mut(&of)?;
        owner.users -= 1;
        if owner.users > 0 {
            return None;
        }
        self.owners.remove(&of);
        Some(of)
    }

    /// What the BPF side is to be told of a process.
    pub(super) fn space(&self, incarnation: u32, files: &Files) -> Option<Box<Space>> {
        let owner = self.owners.get(&incarnation)?;
        let generation = owner.published.as_ref().map_or(0, |(generation, _)| *generation);
        Some(owner.layout.space(files, generation, owner.epoch))
    }

    /// Whether rules that were looked up by what the BPF side has do not hold for a new space.
    pub(super) fn needs_generation(&self, space: &Space) -> bool {
        let owner = self.owners.get(&space.incarnation);
        let published = owner.and_then(|owner| owner.published.as_ref());
        published.is_none_or(|(_, old)| !agree(old, &known(space)))
    }

    /// Whether some process has this generation.
    pub(super) fn has_generation(&self, generation: u32) -> bool {
        self.owners
            .values()
            .any(|owner| owner.published.as_ref().is_some_and(|(of, _)| *of == generation))
    }

    /// The BPF side has it.
    pub(super) fn published(&mut self, space: &Space) {
        if let Some(owner) = self.owners.get_mut(&space.incarnation) {
            owner.published = Some((space.generation, known(space)));
        }
    }

    /// Those with code whose table was to come when they were published last.
    pub(super) fn incomplete(&self) -> Vec<u32> {
        let lacks = |owner: &Owner| {
            let published = owner.published.as_ref();
            published.is_none_or(|(_, known)| known.iter().any(Known::is_to_come))
        };
        let owners = self.owners.iter().filter(|(_, owner)| lacks(owner));
        owners.map(|(&incarnation, _)| incarnation).collect()
    }

    /// All whose layout was read.
    pub(super) fn owners(&self) -> Vec<u32> {
        self.owners.keys().copied().collect()
    }

    /// Modules that are mapped somewhere.
    pub(super) fn mapped(&self) -> FxHashSet<u32> {
        let code = self.owners.values().flat_map(|owner| &owner.layout.code);
        code.map(|code: &Code| code.index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(incarnation: u32) -> Layout {
        Layout {
            incarnation,
            covers: 0,
            code: Vec::new(),
        }
    }

    #[test]
    fn a_layout_stays_until_the_last_who_has_it_is_gone() {
        let mut shared = Shared::default();
        assert_eq!(shared.laid_out(layout(1)), None);
        shared.forked(1, 2);
        shared.forked(2, 3);
        let ended = |shared: &mut Shared, incarnation| shared.ended(incarnation).collect::<Vec<_>>();
        assert!(ended(&mut shared, 1).is_empty());
        assert!(shared.space(1, &Files::default()).is_some());
        assert_eq!(shared.laid_out(layout(2)), None, "the third has the first's still");
        assert_eq!(ended(&mut shared, 3), [3, 1]);
        assert!(shared.space(1, &Files::default()).is_none());
        assert_eq!(ended(&mut shared, 2), [2]);
        assert_eq!(ended(&mut shared, 7), [7], "of which nothing was read");
        assert!(shared.owners.is_empty() && shared.owner_of.is_empty());
    }

    #[test]
    fn a_process_that_is_read_again_keeps_its_place() {
        let mut shared = Shared::default();
        shared.laid_out(layout(1));
        shared.forked(1, 2);
        assert_eq!(shared.laid_out(layout(1)), None);
        assert_eq!(shared.ended(2).collect::<Vec<_>>(), [2]);
        assert_eq!(shared.ended(1).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn generations_belong_to_what_is_published() {
        let mut shared = Shared::default();
        shared.laid_out(layout(1));
        let mut space = shared.space(1, &Files::default()).unwrap();
        assert!(shared.needs_generation(&space));
        space.generation = 5;
        shared.published(&space);
        assert!(!shared.needs_generation(&space) && shared.has_generation(5) && !shared.has_generation(4));
        assert_eq!(shared.ended(1).collect::<Vec<_>>(), [1]);
        assert!(!shared.has_generation(5));
    }
}
