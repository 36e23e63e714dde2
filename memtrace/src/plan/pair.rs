//! Allocators that the user names: `--pair ALLOC:FREE[:SIZE]`.

use memtrace_common::Shape;

use super::table::{product, size};

/// Index of the last argument that is passed in a register.
const LAST_ARGUMENT: u8 = 5;

/// Two functions that belong together: what the first returns, the second takes as its first argument.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair {
    /// As the user wrote it.
    pub text: String,
    /// The function that allocates.
    pub alloc: Location,
    /// The function that frees.
    pub free: Location,
    /// Where the requested size is.
    pub size: Size,
}

/// Where a function is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    /// The end of its file's path, from a `/` on; `None` for any file.
    pub file: Option<String>,
    /// The function in it.
    pub place: Place,
}

/// A function in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A symbol, as it is in the file.
    Symbol(String),
    /// Offset in the file.
    Offset(u64),
}

/// Where a call's requested size is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Size {
    /// In this argument.
    Argument(u8),
    /// The product of two arguments: count and size of one.
    Product(u8, u8),
}

impl Pair {
    /// Reads `ALLOC:FREE[:SIZE]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (alloc, free, size) = match parts[..] {
            [alloc, free] => (alloc, free, Size::Argument(0)),
            [alloc, free, size] => (alloc, free, Size::parse(size)?),
            _ => {
                return Err(format!(
                    "{text:?} is not ALLOC:FREE or ALLOC:FREE:SIZE (for names of C++ or Rust give the mangled symbol)"
                ));
            }
        };
        Ok(Self {
            text: text.to_owned(),
            alloc: Location::parse(alloc)?,
            free: Location::parse(free)?,
            size,
        })
    }

    /// Name of the allocator, for people.
    pub(super) fn name(&self) -> String {
        format!("pair {}", self.text)
    }
}

impl Location {
    fn parse(text: &str) -> Result<Self, String> {
        let (file, place) = if let Some((file, offset)) = text.rsplit_once("+0x") {
            let offset = u64::from_str_radix(offset, 16)
                .map_err(|error| format!("the offset 0x{offset} in {text:?} is no hexadecimal number: {error}"))?;
            (Some(file), Place::Offset(offset))
        } else {
            match text.rsplit_once('!') {
                Some((file, symbol)) => (Some(file), Place::Symbol(symbol.to_owned())),
                None => (None, Place::Symbol(text.to_owned())),
            }
        };
        if file == Some("") {
            return Err(format!("{text:?} names no file before its function"));
        }
        match &place {
            Place::Symbol(symbol) if symbol.is_empty() => Err(format!("{text:?} names no function")),
            Place::Symbol(symbol) if symbol.contains(|c: char| c.is_whitespace() || c.is_control()) => Err(format!(
                "{symbol:?} is no symbol: it has spaces or control characters in it"
            )),
            _ => Ok(Self {
                file: file.map(str::to_owned),
                place,
            }),
        }
    }

    /// Whether it can be in the file at this path.
    pub(super) fn may_be_in(&self, path: &str) -> bool {
        self.file.as_ref().is_none_or(|file| {
            path.strip_suffix(file.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('/') || file.starts_with('/'))
        })
    }

    /// The symbol that it asks a file for.
    pub(super) const fn symbol(&self) -> Option<&String> {
        match &self.place {
            Place::Symbol(symbol) => Some(symbol),
            Place::Offset(_) => None,
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, &self.place) {
            (Some(file), Place::Symbol(symbol)) => write!(out, "{file}!{symbol}"),
            (None, Place::Symbol(symbol)) => out.write_str(symbol),
            (file, Place::Offset(offset)) => write!(out, "{}+{offset:#x}", file.as_deref().unwrap_or_default()),
        }
    }
}

impl Size {
    fn parse(text: &str) -> Result<Self, String> {
        let argument = |text: &str| {
            text.parse()
                .ok()
                .filter(|&index| index <= LAST_ARGUMENT && text.len() == 1)
                .ok_or_else(|| {
                    format!("{text:?} is no argument with a size: give its index, 0 to {LAST_ARGUMENT}, or two as COUNT*SIZE")
                })
        };
        match text.split_once('*') {
            Some((count, size)) => Ok(Self::Product(argument(count)?, argument(size)?)),
            None => argument(text).map(Self::Argument),
        }
    }

    pub(super) const fn shape(self) -> Shape {
        match self {
            Self::Argument(at) => size(at),
            Self::Product(count, each) => product(count, each),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn symbols_files_offsets_and_sizes() {
        let pair = Pair::parse("my_alloc:my_free").unwrap();
        assert_eq!(
            (pair.alloc.symbol().unwrap().as_str(), pair.size),
            ("my_alloc", Size::Argument(0))
        );
        let pair = Pair::parse("libx.so.1!get:bin/server+0x1f40:2*1").unwrap();
        assert_eq!(pair.alloc.file.as_deref(), Some("libx.so.1"));
        assert_eq!(pair.free.place, Place::Offset(0x1f40));
        assert_eq!(pair.size, Size::Product(2, 1));
        assert_eq!(pair.alloc.to_string(), "libx.so.1!get");
        assert_eq!(pair.free.to_string(), "bin/server+0x1f40");
        assert!(pair.alloc.may_be_in("/usr/lib/libx.so.1") && pair.free.may_be_in("/usr/bin/server"));
        assert!(!pair.alloc.may_be_in("/usr/lib/notlibx.so.1") && !pair.free.may_be_in("/usr/sbin/server"));
        let absolute = Pair::parse("/bin/x!a:b").unwrap();
        assert!(absolute.alloc.may_be_in("/bin/x") && absolute.free.may_be_in("/anything"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "ALLOC:FREE"),
            ("alone", "ALLOC:FREE"),
            ("a:b:c:d", "mangled"),
            ("A::get:free", "mangled"),
            ("a:", "no function"),
            (":b", "no function"),
            ("a:b:", "index"),
            ("a:b:6", "0 to 5"),
            ("a:b:1*", "COUNT*SIZE"),
            ("a:b:+1", "index"),
            ("x+0xzz:b", "hexadecimal"),
            ("+0x10:b", "no file"),
            ("!a:b", "no file"),
            ("f!:b", "no function"),
            ("operator new:b", "spaces"),
            ("a\u{1b}[m:b", "control"),
        ] {
            let error = Pair::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\u{1b}'));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_shown_as_it_was(text in "[a-z+!x0-9:*/]{0,20}") {
            if let Ok(pair) = Pair::parse(&text) {
                let again = Pair::parse(&format!("{}:{}", pair.alloc, pair.free)).unwrap();
                prop_assert_eq!((again.alloc, again.free), (pair.alloc, pair.free));
            }
        }
    }
}
