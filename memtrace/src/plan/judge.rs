//! What a process's files together come to: whether anything can be hooked, and what the reader of a report must know.

use thiserror::Error;

use super::{Analysis, families, halves::Half};

/// How many of many are named.
const FEW: usize = 8;

/// Why a process cannot be observed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum PlanError {
    /// No file has an allocator.
    #[error(
        "found no allocator to hook in the target: looked for {families}, by exported and other symbols and by static probes \
         (otel_memory), in {looked_at}{seen}; {hint}",
        families = families::known()
    )]
    Nothing {
        /// The files.
        looked_at: String,
        /// What was seen there that cannot be hooked, beginning with punctuation.
        seen: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// A pair that the user named is not there.
    #[error("{place} of the pair {pair} cannot be hooked: {reason}")]
    Pair {
        /// The pair as the user wrote it.
        pair: String,
        /// Its function.
        place: String,
        /// Why.
        reason: String,
    },
}

/// Judges the files that a process has mapped: path, and analysis or why there is none. The executable comes first.
///
/// # Errors
/// When nothing can be hooked, or a pair that was asked for is not there.
pub fn judge(files: &[(&str, Result<&Analysis, &str>)]) -> Result<Vec<String>, PlanError> {
    let read = || {
        files
            .iter()
            .filter_map(|(path, file)| Some((*path, *file.as_ref().ok()?)))
    };
    pairs(&read().map(|(_, analysis)| analysis).collect::<Vec<_>>())?;
    let found: Vec<String> = read()
        .flat_map(|(path, analysis)| {
            let names = analysis.allocators.iter();
            names.map(move |found| format!("{} ({path})", found.name))
        })
        .collect();
    let told = || {
        read().flat_map(|(path, analysis)| {
            let runtimes = analysis.runtimes.iter();
            let runtimes = runtimes.map(move |runtime| format!("{} ({path})", runtime.note));
            runtimes.chain(analysis.unhooked.iter().cloned())
        })
    };
    if found.is_empty() {
        return Err(nothing(files, told().collect()));
    }
    let mut notes: Vec<String> = told().collect();
    notes.extend(unread(files));
    if found.len() > 1 {
        notes.push(format!("several allocators are hooked: {}", some_of(&found)));
    }
    Ok(notes)
}

/// Each function of each pair must be somewhere.
fn pairs(files: &[&Analysis]) -> Result<(), PlanError> {
    let Some(first) = files.first() else { return Ok(()) };
    for (index, pair) in first.pairs.iter().enumerate() {
        for of in [0, 1] {
            let halves = || {
                let all = files.iter().filter_map(|file| file.pairs.get(index));
                all.map(move |halves| if of == 0 { &halves.alloc } else { &halves.free })
            };
            if halves().any(|(_, half)| *half == Half::Found) {
                continue;
            }
            let reason = halves().find_map(|(_, half)| match half {
                Half::Refused(reason) => Some(reason.clone()),
                _ => None,
            });
            return Err(PlanError::Pair {
                pair: pair.pair.clone(),
                place: halves().next().map(|(place, _)| place.clone()).unwrap_or_default(),
                reason: reason.unwrap_or_else(|| {
                    "no file of the target has it; give a symbol as nm shows it, or FILE+0xOFFSET".to_owned()
                }),
            });
        }
    }
    Ok(())
}

/// Says which files could not be searched.
fn unread(files: &[(&str, Result<&Analysis, &str>)]) -> Option<String> {
    let unread: Vec<_> = files
        .iter()
        .filter_map(|(path, file)| Some((*path, *file.as_ref().err()?)))
        .collect();
    let (_, first) = *unread.first()?;
    let same = unread.iter().all(|(_, error)| *error == first);
    let reason = if same { first } else { "for several reasons" };
    let paths: Vec<_> = unread.iter().map(|(path, _)| *path).collect();
    Some(format!(
        "{} could not be searched for an allocator: {reason}",
        some_of(&paths)
    ))
}

/// A few of them, for a program may have mapped thousands of files.
fn some_of<T: AsRef<str>>(all: &[T]) -> String {
    let named: Vec<_> = all.iter().take(FEW).map(AsRef::as_ref).collect();
    let named = named.join(", ");
    match all.len().saturating_sub(FEW) {
        0 if named.is_empty() => "no file at all".to_owned(),
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn nothing(files: &[(&str, Result<&Analysis, &str>)], seen: Vec<String>) -> PlanError {
    let unread = files.iter().filter(|(_, file)| file.is_err()).count();
    let paths: Vec<_> = files.iter().map(|(path, _)| *path).collect();
    let looked_at = match unread {
        0 => some_of(&paths),
        _ => format!("{} ({unread} could not be read)", some_of(&paths)),
    };
    let runs = |name| {
        let all = files.iter().filter_map(|(_, file)| file.as_ref().ok());
        all.flat_map(|file| &file.runtimes).any(|runtime| runtime.name == name)
    };
    let is_static = files
        .first()
        .is_some_and(|(_, file)| file.is_ok_and(|file| file.is_static));
    let hint = if runs("Go") {
        "use Go's own profiler, or name functions of C code that the program calls with --pair ALLOC:FREE"
    } else if is_static {
        "the program is linked statically: give it its symbols back (an executable that is not stripped, or its debug symbols \
         where debuggers look for them), or name its functions with --pair ALLOC:FREE"
    } else {
        "install debug symbols of the file that has the allocator, or name its functions with --pair ALLOC:FREE"
    };
    let seen: Vec<_> = seen.into_iter().take(FEW).map(|line| format!("; {line}")).collect();
    PlanError::Nothing {
        looked_at,
        seen: seen.concat(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Found, Halves, Runtime},
        *,
    };

    fn with(name: &str) -> Analysis {
        Analysis {
            allocators: vec![Found {
                name: name.to_owned(),
                hooks: Vec::new(),
                points: Vec::new(),
                two_traps: Vec::new(),
                one_trap: Vec::new(),
            }],
            ..Analysis::default()
        }
    }

    #[test]
    fn nothing_to_hook_says_where_was_looked_and_what_to_do() {
        let none = Analysis::default();
        let error = judge(&[("/bin/x", Ok(&none)), ("/lib/y.so", Err("gone"))])
            .unwrap_err()
            .to_string();
        for part in [
            "/bin/x, /lib/y.so (1 could not be read)",
            "mimalloc",
            "otel_memory",
            "debug symbols",
            "--pair",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let fixed = Analysis {
            is_static: true,
            ..Analysis::default()
        };
        assert!(
            judge(&[("/bin/x", Ok(&fixed))])
                .unwrap_err()
                .to_string()
                .contains("statically")
        );
        let go = Analysis {
            runtimes: vec![Runtime {
                name: "Go",
                note: "Go is not seen",
            }],
            ..fixed
        };
        let error = judge(&[("/bin/x", Ok(&go))]).unwrap_err().to_string();
        assert!(
            error.contains("Go is not seen (/bin/x)") && error.contains("profiler"),
            "{error}"
        );
        assert!(judge(&[]).unwrap_err().to_string().contains("no file at all"));
    }

    #[test]
    fn notes_name_several_allocators_and_a_few_of_many_files() {
        let (one, two) = (with("jemalloc"), with("glibc"));
        assert_eq!(judge(&[("/lib/j", Ok(&one))]), Ok(Vec::new()));
        let notes = judge(&[("/lib/j", Ok(&one)), ("/lib/c", Ok(&two))]).unwrap();
        assert_eq!(
            notes,
            ["several allocators are hooked: jemalloc (/lib/j), glibc (/lib/c)"]
        );
        let paths: Vec<String> = (0..5000).map(|index| format!("/lib/{index}.so")).collect();
        let mut all: Vec<(&str, Result<&Analysis, &str>)> =
            paths.iter().map(|path| (path.as_str(), Err("gone"))).collect();
        all.push(("/lib/c", Ok(&two)));
        let notes = judge(&all).unwrap();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].ends_with("/lib/7.so and 4992 more could not be searched for an allocator: gone"));
    }

    #[test]
    fn the_halves_of_a_pair_may_be_in_two_files() {
        let file = |alloc: Half, free: Half| Analysis {
            pairs: vec![Halves {
                pair: "a:f".into(),
                alloc: ("a".into(), alloc),
                free: ("f".into(), free),
            }],
            ..with("pair a:f")
        };
        let (one, two) = (file(Half::Found, Half::Absent), file(Half::Absent, Half::Found));
        assert!(judge(&[("/1", Ok(&one)), ("/2", Ok(&two))]).is_ok());
        let error = judge(&[("/1", Ok(&one))]).unwrap_err().to_string();
        assert!(
            error.starts_with("f of the pair a:f cannot be hooked: no file"),
            "{error}"
        );
        let refused = file(Half::Found, Half::Refused("it is chosen at run time".into()));
        let error = judge(&[("/1", Ok(&one)), ("/2", Ok(&refused))])
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("it is chosen at run time"), "{error}");
    }
}
