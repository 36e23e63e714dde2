//! `memtrace generate`: man pages and completions, from the same definition that parses the command line.

use std::{fs, io, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Subcommand};
use clap_complete::Shell;

use super::{Cli, output};
use crate::exit::Exit;

/// Make man pages or shell completions
#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write man pages for memtrace and each of its commands into a directory
    Man {
        /// The directory; made when it does not exist
        directory: PathBuf,
    },
    /// Print completions for a shell, to be put where that shell looks for them
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl GenerateArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self.what {
            What::Man { directory } => {
                fs::create_dir_all(&directory)
                    .and_then(|()| clap_mangen::generate_to(Cli::command(), &directory))
                    .with_context(|| format!("failed to write man pages into {}", directory.display()))?;
            }
            What::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "memtrace", &mut text);
                output::ignore_closed_pipe(io::Write::write_all(&mut io::stdout().lock(), &text))
                    .context("failed to write completions to standard output")?;
            }
        }
        Ok(Exit::Success)
    }
}
