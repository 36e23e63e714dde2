//! V8's sampling profile: a tree of calls becomes a table of functions.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use thiserror::Error;

use crate::{
    profile::heap_sample::{HeapSample, SampledFunction},
    units,
};

/// Deepest tree that is read: V8 keeps 128 frames of a stack (`V8HeapProfilerAgentImpl::startSampling`).
const MOST_DEPTH: usize = 256;

/// Why a profile cannot be read.
#[derive(Debug, Error)]
#[error("failed to read the sampling profile: {0}")]
pub struct ParseError(#[from] serde_json::Error);

/// A function as V8 names it. Lines and columns are from 0, and -1 where there is none.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Frame {
    function_name: String,
    url: String,
    line_number: i64,
    column_number: i64,
}

/// What is known of a function.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    own: u64,
    total: u64,
}

/// Functions in the order in which they were first seen.
#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Frame, usize>,
    sums: Vec<Sums>,
    bytes: u64,
}

impl Table {
    fn number(&mut self, frame: Frame) -> usize {
        *self.numbers.entry(frame).or_insert_with(|| {
            self.sums.push(Sums::default());
            self.sums.len() - 1
        })
    }
}

/// What `stop_sampling` gave, as a table.
///
/// # Errors
/// When it is no profile of V8's.
pub fn parse(profile: &str) -> Result<HeapSample, ParseError> {
    let mut table = Table::default();
    let mut deserializer = serde_json::Deserializer::from_str(profile);
    // A stack of 128 frames is nested deeper than the library's limit; `Node` has one of its own.
    deserializer.disable_recursion_limit();
    Root(&mut table).deserialize(&mut deserializer)?;
    deserializer.end()?;
    let Table { numbers, sums, bytes } = table;
    let one_based = |number: i64| {
        number
            .checked_add(1)
            .and_then(|number| number.try_into().ok())
            .unwrap_or(0)
    };
    let mut functions: Vec<_> = numbers
        .into_iter()
        .filter_map(|(frame, number)| {
            let Sums { own, total } = *sums.get(number)?;
            Some(SampledFunction {
                name: frame.function_name,
                url: frame.url,
                line: one_based(frame.line_number),
                column: one_based(frame.column_number),
                own,
                total,
            })
        })
        .filter(|function| function.total > 0)
        .collect();
    functions.sort_by(|a, b| {
        let key = |function: &SampledFunction| (std::cmp::Reverse(function.own), std::cmp::Reverse(function.total));
        let place = |function: &SampledFunction| {
            (
                function.url.clone(),
                function.line,
                function.column,
                function.name.clone(),
            )
        };
        key(a).cmp(&key(b)).then_with(|| place(a).cmp(&place(b)))
    });
    Ok(HeapSample {
        bytes,
        functions,
        ..HeapSample::default()
    })
}

/// `{"head": node, "samples": [...]}`.
struct Root<'a>(&'a mut Table);

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a sampling profile")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "head" {
                found = true;
                map.next_value_seed(Node {
                    table: self.0,
                    path: &mut Vec::new(),
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if found {
            Ok(())
        } else {
            Err(de::Error::missing_field("head"))
        }
    }
}

/// A node of the tree: one call of a function by another.
struct Node<'a> {
    table: &'a mut Table,
    /// The functions above it.
    path: &'a mut Vec<usize>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a call in a sampling profile")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.path.len() >= MOST_DEPTH {
            return Err(de::Error::custom(format_args!(
                "its calls are nested deeper than {MOST_DEPTH}"
            )));
        }
        let mut number = None;
        let mut own = 0_u64;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "callFrame" => {
                    let known = self.table.number(map.next_value()?);
                    number = Some(known);
                }
                "selfSize" => own = units::whole(map.next_value()?),
                "children" => {
                    // V8 writes the function first; its callees need it.
                    let number = number.ok_or_else(|| de::Error::custom("a call names its callees before itself"))?;
                    self.path.push(number);
                    map.next_value_seed(Children {
                        table: &mut *self.table,
                        path: &mut *self.path,
                    })?;
                    self.path.pop();
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let number = number.ok_or_else(|| de::Error::missing_field("callFrame"))?;
        self.table.bytes = self.table.bytes.saturating_add(own);
        let mut counted = self.path.clone();
        counted.push(number);
        // A function that calls itself has these bytes once.
        counted.sort_unstable();
        counted.dedup();
        for above in counted {
            if let Some(sums) = self.table.sums.get_mut(above) {
                sums.total = sums.total.saturating_add(own);
            }
        }
        if let Some(sums) = self.table.sums.get_mut(number) {
            sums.own = sums.own.saturating_add(own);
        }
        Ok(())
    }
}

/// What a function called.
struct Children<'a> {
    table: &'a mut Table,
    path: &'a mut Vec<usize>,
}

impl<'de> DeserializeSeed<'de> for Children<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Children<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the callees of a call in a sampling profile")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut calls: A) -> Result<(), A::Error> {
        let (table, path) = (self.table, self.path);
        while calls
            .next_element_seed(Node {
                table: &mut *table,
                path: &mut *path,
            })?
            .is_some()
        {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, line: i64, own: u64, children: &str) -> String {
        format!(
            r#"{{"callFrame":{{"functionName":"{name}","scriptId":"1","url":"file:///a.js","lineNumber":{line},"columnNumber":4}},
            "selfSize":{own},"id":1,"children":[{children}]}}"#
        )
    }

    #[test]
    fn functions_have_their_own_bytes_and_those_of_what_they_called() {
        let leaf = node("leak", 9, 40, "");
        let again = node("walk", 3, 2, &leaf);
        let head = node(
            "(root)",
            -1,
            0,
            &format!("{},{}", node("walk", 3, 1, &again), node("leak", 9, 4, "")),
        );
        let found = parse(&format!(r#"{{"samples":[{{"size":1}}],"head":{head}}}"#)).unwrap();
        let rows: Vec<_> = found
            .functions
            .iter()
            .map(|function| {
                (
                    function.name.as_str(),
                    function.line,
                    function.column,
                    function.own,
                    function.total,
                )
            })
            .collect();
        assert_eq!(
            rows,
            [("leak", 10, 5, 44, 44), ("walk", 4, 5, 3, 43), ("(root)", 0, 5, 0, 47)]
        );
        assert_eq!(found.bytes, 47);
    }

    #[test]
    fn a_profile_may_be_as_deep_as_v8_makes_them_and_not_deeper() {
        let node = node("f", 1, 1, "|");
        let (begin, end) = node.split_once('|').unwrap();
        let nested = |depth| begin.repeat(depth) + &end.repeat(depth);
        let parsed = |depth| parse(&format!(r#"{{"head":{}}}"#, nested(depth)));
        assert_eq!(parsed(130).unwrap().bytes, 130);
        assert!(parsed(100_000).unwrap_err().to_string().contains("nested deeper"));
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"head":1}"#,
            r#"{"head":{"selfSize":1}}"#,
            r#"{"head":{"children":[]}}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        // What is left out is nested without end too.
        let junk = format!(
            r#"{{"samples":{}{},"head":{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000),
            node("f", 1, 1, "")
        );
        assert_eq!(parse(&junk).unwrap().bytes, 1);
    }
}
