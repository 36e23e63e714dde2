//! What the program knows about itself, and the talk with the harness. Nothing here allocates before `report`.

use std::{
    fmt::Arguments,
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    process,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// The counters of a site: requested bytes, as they were asked of Rust's global allocator.
pub struct Site {
    name: &'static str,
    bytes: AtomicU64,
    count: AtomicU64,
    allocated_bytes: AtomicU64,
    allocated_count: AtomicU64,
}

impl Site {
    /// A site that has allocated nothing yet.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            bytes: AtomicU64::new(0),
            count: AtomicU64::new(0),
            allocated_bytes: AtomicU64::new(0),
            allocated_count: AtomicU64::new(0),
        }
    }

    /// One block was allocated.
    pub fn took(&self, size: usize) {
        self.bytes.fetch_add(size as u64, Relaxed);
        self.count.fetch_add(1, Relaxed);
        self.allocated_bytes.fetch_add(size as u64, Relaxed);
        self.allocated_count.fetch_add(1, Relaxed);
    }

    /// One block is no longer live.
    pub fn gave(&self, size: usize) {
        self.bytes.fetch_sub(size as u64, Relaxed);
        self.count.fetch_sub(1, Relaxed);
    }
}

static VALUES: Mutex<[Option<(&str, u64)>; 16]> = Mutex::new([None; 16]);

/// Notes a number that is no site's.
pub fn value(name: &'static str, number: u64) {
    let mut values = VALUES.lock().expect("values");
    let free = values
        .iter_mut()
        .find(|value| value.is_none())
        .expect("room for a value");
    *free = Some((name, number));
}

/// Says `ready` and waits for the word to go on.
pub fn ready() {
    say(format_args!("ready {}", process::id()));
    if !line() {
        process::exit(98);
    }
}

/// Prints what is known and holds until there is a line or the end of the input.
pub fn report(sites: &[&'static Site], more: &[&'static Site]) {
    let mut text = String::from("truth {\"sites\": {");
    for (index, site) in sites.iter().chain(more).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let [bytes, count, allocated_bytes, allocated_count] =
            [&site.bytes, &site.count, &site.allocated_bytes, &site.allocated_count]
                .map(|counter| counter.load(Relaxed));
        text += &format!(
            "{comma}\"{}\": {{\"bytes\": {bytes}, \"count\": {count}, \"allocated_bytes\": {allocated_bytes}, \
             \"allocated_count\": {allocated_count}}}",
            site.name
        );
    }
    text += "}, \"values\": {";
    let values = VALUES.lock().expect("values");
    for (index, (name, number)) in values.iter().flatten().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        text += &format!("{comma}\"{name}\": {number}");
    }
    text += "}}\nhold";
    say(format_args!("{text}"));
    line();
}

/// Past the buffer of standard output, which would be a block of its own.
fn say(text: Arguments<'_>) {
    let output = io::stdout().as_fd().try_clone_to_owned().expect("an output");
    if writeln!(File::from(output), "{text}").is_err() {
        process::exit(97);
    }
}

/// Waits for the end of a line, byte by byte; false at the end of the input.
fn line() -> bool {
    let input = io::stdin().as_fd().try_clone_to_owned().expect("an input");
    let mut input = File::from(input);
    let mut byte = [0];
    while let Ok(1) = input.read(&mut byte) {
        if byte[0] == b'\n' {
            return true;
        }
    }
    false
}
