//! A census for people.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::Options;
use crate::{
    profile::census::{Amount, Census, Size},
    render::{
        escape,
        layout::{elide, truncate, wrap},
    },
    units::{blocks, bytes, count, percent, plural, precise},
};

/// Columns before a type's name.
const NUMBERS: usize = 34;

/// What holds for every census, in sentences.
const REMARKS: [&str; 5] = [
    "Bytes are those of blocks: what was asked for, rounded up to a multiple of 16.",
    "Not in here: all of more than 512 bytes (large lists, dictionaries and texts, code), which comes from malloc as what C extensions \
     allocate does; what is in no block, as small numbers and constants of the interpreter; and heaps that isolated subinterpreters have of \
     their own.",
    "Without a type: what belongs to an object and is none itself (tables of dictionaries, items of lists, attributes of instances), \
     and unused objects that the interpreter keeps.",
    "A type, but not in use: there is a type where an object would have it, and no count of references before it: objects that are kept \
     for the next use, lists of types.",
    "The program ran on: what was allocated or freed meanwhile may be in or not.",
];

/// Writes a census.
///
/// # Errors
/// Only those of `out`.
pub fn write(census: &Census, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { options, out };
    page.head(census)?;
    page.types(census)?;
    page.sizes(&census.sizes)?;
    page.line("")?;
    for remark in warnings(census).iter().map(String::as_str).chain(REMARKS) {
        page.say(remark)?;
    }
    Ok(())
}

/// What may be wrong with it, in sentences.
pub(super) fn warnings(census: &Census) -> Vec<String> {
    let health = &census.health;
    let mut all = Vec::new();
    let mut warn = |number: u64, what: &str, means: &str| {
        if number > 0 {
            all.push(format!("{} {means}.", plural(number, what)));
        }
    };
    warn(
        health.torn_pools,
        "pool",
        "changed whenever read: their blocks are counted, but not looked at",
    );
    warn(
        health.unreadable_pools,
        "pool",
        "could not be understood: what is in there is missing",
    );
    warn(
        health.gone_arenas,
        "arena",
        "went while being read: what was in there is missing",
    );
    warn(
        health.new_arenas,
        "arena",
        "came while others were read: what is in there is missing",
    );
    if health.types_limited {
        all.push(
            "There are too many different things that could be types: some objects are among those without.".to_owned(),
        );
    }
    if census.debug_hooks {
        all.push("The debug hooks are on (PYTHONMALLOC=debug): each block has 24 or 32 bytes for them.".to_owned());
    }
    all
}

struct Page<'a> {
    options: &'a Options,
    out: &'a mut dyn Write,
}

impl Page<'_> {
    fn head(&mut self, census: &Census) -> io::Result<()> {
        let Census {
            pid,
            command,
            python,
            file,
            ..
        } = census;
        let took = precise(Duration::try_from_secs_f64(census.seconds).unwrap_or_default());
        self.line(&format!("Python heap of {pid} ({command}), Python {python} in {file}"))?;
        self.line(&format!("Read in {took}, while the program ran on"))?;
        self.line("")?;
        let pools = &census.pools;
        self.line(&format!(
            "in use   {} with {}, in {}",
            blocks(census.blocks.count),
            bytes(census.blocks.bytes),
            plural(pools.used, "pool")
        ))?;
        let empty = pools.free.saturating_mul(pools.bytes_each);
        self.line(&format!(
            "free     {} in blocks of these pools, {} in {} without any",
            bytes(census.free.bytes),
            bytes(empty),
            plural(pools.free, "pool")
        ))?;
        self.line(&format!(
            "arenas   {} with {}{}",
            count(census.arenas.count),
            bytes(census.arenas.bytes),
            match census.interpreters {
                0 | 1 => String::new(),
                more => format!(", of {more} interpreters"),
            }
        ))?;
        self.line("")
    }

    fn types(&mut self, census: &Census) -> io::Result<()> {
        self.line(&format!("{:>11} {:>7} {:>12}  type", "bytes", "share", "count"))?;
        let whole = census.blocks.bytes.max(1) as f64;
        for row in census.types.iter().take(self.options.top) {
            let several = match row.types {
                1 => String::new(),
                types => format!(" ({} of that name)", plural(types, "type")),
            };
            let room = self.options.columns.saturating_sub(NUMBERS + several.len()).max(8);
            let name = elide(&escape::text(&row.name), room);
            self.row(row.objects, whole, &format!("{name}{several}"))?;
        }
        let rest = census.types.iter().skip(self.options.top);
        let hidden = rest.clone().count() as u64;
        if hidden > 0 {
            let sum = rest.fold(Amount::default(), |sum, row| sum.plus(row.objects));
            self.row(sum, whole, &format!("[{}]", plural(hidden, "other type")))?;
        }
        self.row(census.unknown, whole, "[without a type]")?;
        self.row(census.unowned, whole, "[a type, but not in use]")?;
        if census.unread.count > 0 {
            self.row(census.unread, whole, "[not looked at]")?;
        }
        self.line("")
    }

    fn row(&mut self, amount: Amount, whole: f64, name: &str) -> io::Result<()> {
        let share = percent(amount.bytes as f64 / whole);
        self.line(&format!(
            "{:>11} {share:>7} {:>12}  {name}",
            bytes(amount.bytes),
            count(amount.count)
        ))
    }

    fn sizes(&mut self, sizes: &[Size]) -> io::Result<()> {
        self.line(&format!(
            "{:>11} {:>12} {:>12} {:>9}",
            "block", "in use", "free", "pools"
        ))?;
        for size in sizes {
            self.line(&format!(
                "{:>11} {:>12} {:>12} {:>9}",
                bytes(size.block),
                count(size.used),
                count(size.free),
                count(size.pools)
            ))?;
        }
        Ok(())
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        for line in wrap(text, self.options.columns) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Names in it are the target's.
    fn line(&mut self, line: &str) -> io::Result<()> {
        let line = truncate(&escape::text(line), self.options.columns);
        writeln!(self.out, "{}", line.trim_end())
    }
}
