//! Flags that choose sites.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytesize::ByteSize;
use clap::Args;
use memtrace_common::op::{Class, Op};

use crate::profile::filter::{Filter, FramePattern, ModulePattern, ProcessPattern};

/// Which call sites are shown.
///
/// Conditions of several kinds must all hold; of several of one kind one is enough.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which sites")]
pub struct FilterArgs {
    /// Only sites with a function in their stack that matches this regular expression, anywhere in its name
    #[arg(long, value_name = "REGEX")]
    pub frame: Vec<String>,
    /// No sites with such a function
    #[arg(long, value_name = "REGEX")]
    pub exclude: Vec<String>,
    /// Only sites that come through a module with this in its name, for example libssl; with * or ? in it the name must match as a
    /// whole. The allocator's own frames do not count
    #[arg(long, value_name = "NAME")]
    pub module: Vec<String>,
    /// Only sites with blocks of this size or more, for example 64KiB (by class of size, 25 % at most below)
    #[arg(long, value_name = "SIZE")]
    pub min_block: Option<ByteSize>,
    /// Only sites with blocks of this size or less (by class of size, 25 % at most above)
    #[arg(long, value_name = "SIZE")]
    pub max_block: Option<ByteSize>,
    /// Only sites with a live block that is so old or older, for example 5min
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub older: Option<Duration>,
    /// Only sites of the process with this number, or of programs with this name
    #[arg(long, value_name = "PID|NAME")]
    pub process: Vec<String>,
    /// Only sites of this operation, for example malloc
    #[arg(long, value_name = "NAME", value_parser = op)]
    pub op: Vec<Op>,
    /// Only sites of this class of memory
    #[arg(long, value_name = "CLASS", value_parser = class)]
    pub class: Vec<Class>,
}

impl FilterArgs {
    /// The filter that is asked for.
    ///
    /// # Errors
    /// A regular expression that is none, or sizes that no block can have.
    pub fn filter(&self) -> anyhow::Result<Filter> {
        let frames = |flag: &str, all: &[String]| {
            let read = all.iter().map(|one| FramePattern::new(one));
            read.collect::<Result<Vec<_>, _>>()
                .with_context(|| format!("{flag} cannot be used"))
        };
        let modules = self.module.iter().map(|one| ModulePattern::new(one));
        if let (Some(min), Some(max)) = (self.min_block, self.max_block)
            && min > max
        {
            bail!("--min-block {min} is more than --max-block {max}: no block is of such a size");
        }
        Ok(Filter {
            frames: frames("--frame", &self.frame)?,
            excluded: frames("--exclude", &self.exclude)?,
            modules: modules.collect::<Result<_, _>>().context("--module cannot be used")?,
            min_block: self.min_block.map(|size| size.as_u64()),
            max_block: self.max_block.map(|size| size.as_u64()),
            older: self.older,
            processes: self.process.iter().map(|one| ProcessPattern::new(one)).collect(),
            ops: self.op.clone(),
            classes: self.class.clone(),
        })
    }
}

/// An operation that allocates, by its name in reports.
fn op(text: &str) -> Result<Op, String> {
    let known = || Op::ALL.iter().copied().filter(|op| !op.is_free());
    known().find(|op| op.name() == text).ok_or_else(|| {
        let names: Vec<_> = known().map(Op::name).collect();
        format!(
            "there is no such operation; those that allocate are {}",
            names.join(", ")
        )
    })
}

fn class(text: &str) -> Result<Class, String> {
    Class::ALL
        .iter()
        .copied()
        .find(|class| class.name() == text)
        .ok_or_else(|| {
            let names: Vec<_> = Class::ALL.iter().map(|class| class.name()).collect();
            format!("there is no such class, only {}", names.join(", "))
        })
}
