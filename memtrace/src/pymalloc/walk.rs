//! The way through the arenas.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    arena::{Arena, Array},
    interpreter::Interpreter,
    memory::Memory,
    names::Layout,
    object::{self, Content, LOOKED_AT},
    pool::{ALIGNMENT, CLASSES, HEADER, Header, Used},
    types::Types,
};
use crate::profile::census::{Amount, Census, Health, Size, Type};

/// How often a pool is read again that was changed while it was read.
const READINGS: usize = 4;

/// What is found on the way.
pub(super) struct Walk<'a, M> {
    memory: &'a M,
    interpreter: &'a Interpreter,
    types: Types<'a, M>,
    /// Objects by the address of their type.
    objects: FxHashMap<u64, Amount>,
    sizes: [Size; CLASSES],
    census: Census,
}

impl<'a, M: Memory> Walk<'a, M> {
    /// Goes through the arenas of all arrays.
    pub(super) fn all(memory: &'a M, interpreter: &'a Interpreter, arrays: &[Array]) -> Census {
        let listed: Vec<(Array, Vec<Arena>)> = arrays.iter().map(|array| (*array, array.arenas(memory))).collect();
        let ranges = listed.iter().flat_map(|(_, arenas)| arenas).map(Arena::range);
        let mut walk = Self {
            memory,
            interpreter,
            types: Types::new(
                memory,
                Layout::of(interpreter.version.minor),
                interpreter.type_type,
                ranges.collect(),
            ),
            objects: FxHashMap::default(),
            sizes: [Size::default(); CLASSES],
            census: Census::default(),
        };
        let mut seen = FxHashSet::default();
        let each =
            |(array, arenas): &'_ (Array, Vec<Arena>)| arenas.iter().map(|arena| (*array, *arena)).collect::<Vec<_>>();
        let mut all: Vec<(Array, Arena)> = listed.iter().flat_map(each).collect();
        all.sort_unstable_by_key(|(_, arena)| arena.start);
        let mut end = 0;
        for (array, arena) in &all {
            seen.insert(arena.start);
            // None lies over another: one of them only looks like one.
            if arena.start >= end && walk.arena(array, arena) {
                end = arena.range().end;
            }
        }
        let new = arrays
            .iter()
            .filter_map(|array| Some(array.again(memory)?.arenas(memory)))
            .flatten()
            .filter(|arena| !seen.contains(&arena.start));
        walk.census.health.new_arenas = new.count() as u64;
        walk.census.interpreters = arrays.len() as u64;
        walk.finished()
    }

    /// Whether it is one.
    fn arena(&mut self, array: &Array, arena: &Arena) -> bool {
        let range = arena.pools(array.pool);
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
        if !self.memory.read(range.start, &mut bytes) {
            self.census.health.gone_arenas += 1;
            return false;
        }
        let first = bytes.get(..HEADER).and_then(Header::parse);
        // What only looks like an entry of the array leads to something else.
        if first.is_some_and(|header| !array.is_its(&header, arena)) {
            return false;
        }
        add(&mut self.census.arenas, arena.size);
        self.census.pools.bytes_each = array.pool as u64;
        for (index, pool) in bytes.chunks_exact(array.pool).enumerate() {
            self.pool(array, arena, range.start + (index * array.pool) as u64, pool);
        }
        true
    }

    fn pool(&mut self, array: &Array, arena: &Arena, avma: u64, first: &[u8]) {
        let mut again = Vec::new();
        let mut last = None;
        for reading in 0..READINGS {
            let mut bytes = first;
            if reading > 0 {
                again.resize(array.pool, 0);
                if !self.memory.read(avma, &mut again) {
                    break;
                }
                bytes = &again;
            }
            let Some(header) = Header::parse(bytes).filter(|header| array.is_its(header, arena)) else {
                continue;
            };
            last = Some(header);
            if let Some(used) = Used::find(header, avma, bytes) {
                self.blocks(header, &used, bytes);
                self.count(header);
                return;
            }
        }
        let Some(header) = last else {
            self.census.health.unreadable_pools += 1;
            return;
        };
        self.census.health.torn_pools += 1;
        let used = u64::from(header.used);
        self.census.unread.count += used;
        self.census.unread.bytes += used * header.block as u64;
        self.count(header);
    }

    /// Adds up what the header of a pool says.
    fn count(&mut self, header: Header) {
        if header.used == 0 {
            self.census.pools.free += 1;
            return;
        }
        let (used, block) = (u64::from(header.used), header.block as u64);
        let free = header.capacity() as u64 - used;
        self.census.pools.used += 1;
        self.census.blocks.count += used;
        self.census.blocks.bytes += used * block;
        self.census.free.count += free;
        self.census.free.bytes += free * block;
        let size = &mut self.sizes[header.class()];
        size.pools += 1;
        size.used += used;
        size.free += free;
    }

    fn blocks(&mut self, header: Header, used: &Used, pool: &[u8]) {
        let own = &self.interpreter.range;
        for at in used.offsets() {
            let block = pool.get(at..at + header.block.min(LOOKED_AT)).unwrap_or_default();
            let types = &mut self.types;
            let sum = match object::content(block, |kind| types.flags(kind), |word| own.contains(&word)) {
                Content::Object(kind) => self.objects.entry(kind).or_default(),
                Content::Unowned(_) => &mut self.census.unowned,
                Content::Unknown => &mut self.census.unknown,
            };
            add(sum, header.block as u64);
            self.census.debug_hooks |= object::is_debug(block);
        }
    }

    fn finished(self) -> Census {
        let Self {
            types,
            objects,
            sizes,
            mut census,
            ..
        } = self;
        let mut by_name: FxHashMap<&[u8], Type> = FxHashMap::default();
        for (kind, amount) in &objects {
            let name = types.get(*kind).map_or(&b"?"[..], |kind| &kind.name);
            let row = by_name.entry(name).or_default();
            row.types += 1;
            row.objects = row.objects.plus(*amount);
        }
        census.types = by_name
            .into_iter()
            .map(|(name, row)| Type {
                // Names are UTF-8, if they are names.
                name: String::from_utf8_lossy(name).into_owned(),
                ..row
            })
            .collect();
        let order = |row: &Type| {
            (
                std::cmp::Reverse((row.objects.bytes, row.objects.count)),
                row.name.clone(),
            )
        };
        census.types.sort_by_cached_key(order);
        let used = sizes.into_iter().enumerate().filter(|(_, size)| size.pools > 0);
        census.sizes = used
            .map(|(class, size)| Size {
                block: ((class + 1) * ALIGNMENT) as u64,
                ..size
            })
            .collect();
        census.health = Health {
            types_limited: types.is_exhausted(),
            ..census.health
        };
        census
    }
}

const fn add(sum: &mut Amount, bytes: u64) {
    sum.count += 1;
    sum.bytes += bytes;
}
