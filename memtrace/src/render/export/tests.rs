//! What all formats have to keep.

mod formats;
mod property;

use std::io::Read as _;

use super::{
    proto::Profile as Message,
    {Format, write},
};
use crate::{profile::Profile, render::Measure};

/// The bytes of a format.
fn bytes(profile: &Profile, format: &str, measure: Measure) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(profile, Format::named(format).unwrap(), measure, &mut bytes).unwrap();
    bytes
}

/// The text of a format.
fn text(profile: &Profile, format: &str, measure: Measure) -> String {
    String::from_utf8(bytes(profile, format, measure)).unwrap()
}

/// What a pprof file holds.
fn message(profile: &Profile, measure: Measure) -> Message {
    let zipped = bytes(profile, "pprof", measure);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&*zipped).read_to_end(&mut plain).unwrap();
    prost::Message::decode(&*plain).unwrap()
}
