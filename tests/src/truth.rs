//! What a test program knows about its own allocations.

use std::collections::BTreeMap;

use serde_json::Value;

/// Bytes and blocks of one site.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// Requested bytes that are not yet freed.
    pub bytes: u64,
    /// Blocks that are not yet freed.
    pub count: u64,
    /// Requested bytes ever allocated.
    pub allocated_bytes: u64,
    /// Blocks ever allocated.
    pub allocated_count: u64,
}

impl Sums {
    /// Adds another site's.
    pub fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.count += other.count;
        self.allocated_bytes += other.allocated_bytes;
        self.allocated_count += other.allocated_count;
    }

    /// Live bytes and blocks only.
    pub fn live(self) -> (u64, u64) {
        (self.bytes, self.count)
    }
}

/// The line `truth {json}` of a test program; see `programs/truth.h`.
#[derive(Clone, Debug)]
pub struct Truth {
    /// By function name.
    pub sites: BTreeMap<String, Sums>,
    /// Numbers that are not a site's, by name.
    pub values: BTreeMap<String, u64>,
}

impl Truth {
    /// Reads what follows `truth ` in the line; panics on anything that a test program would not print.
    pub fn from_line(json: &str) -> Self {
        let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("truth {json}: {error}"));
        let map = |name: &str| {
            value[name]
                .as_object()
                .unwrap_or_else(|| panic!("no {name} in truth {json}"))
                .clone()
        };
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no number: {value}"));
        let sites = map("sites").into_iter().map(|(name, site)| {
            let sums = Sums {
                bytes: number(&site["bytes"]),
                count: number(&site["count"]),
                allocated_bytes: number(&site["allocated_bytes"]),
                allocated_count: number(&site["allocated_count"]),
            };
            (name, sums)
        });
        let values = map("values").into_iter().map(|(name, value)| (name, number(&value)));
        Self {
            sites: sites.collect(),
            values: values.collect(),
        }
    }

    /// The sums of a site; panics if the program has none of that name.
    pub fn site(&self, name: &str) -> Sums {
        *self
            .sites
            .get(name)
            .unwrap_or_else(|| panic!("the program has no site {name}"))
    }

    /// A number by name; panics if the program has none of that name.
    pub fn value(&self, name: &str) -> u64 {
        *self
            .values
            .get(name)
            .unwrap_or_else(|| panic!("the program has no value {name}"))
    }

    /// The sums of two programs together; their values are lost.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (name, &sums) in &other.sites {
            self.sites.entry(name.clone()).or_default().add(sums);
        }
        self.values.clear();
        self
    }

    /// Bytes and blocks of all sites that are live.
    pub fn live(&self) -> (u64, u64) {
        let live = self.sites.values().map(|site| site.live());
        live.fold((0, 0), |sum, (bytes, count)| (sum.0 + bytes, sum.1 + count))
    }

    /// The sites whose name passes.
    #[must_use]
    pub fn only(mut self, pass: impl Fn(&str) -> bool) -> Self {
        self.sites.retain(|name, _| pass(name));
        self
    }
}
