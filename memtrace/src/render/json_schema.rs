//! Whether `docs/profile.schema.json` is true, by a validator that is not ours.

use serde_json::Value;

use super::{
    json::{Sites, write},
    tests::rendered,
};
use crate::profile::fixture;

/// The published schema.
fn published() -> Value {
    serde_json::from_str(include_str!("../../../docs/profile.schema.json")).unwrap()
}

/// Forbids fields that the schema does not name. The published one lets them pass: newer versions may have more.
pub(super) fn closed(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(closed);
            // `properties` itself can be the name of a field only below another `properties`.
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("required") {
                fields.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(closed),
        _ => {}
    }
}

#[test]
fn every_document_keeps_the_schema_and_has_no_more_than_it_names() {
    let mut schema = published();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    closed(&mut schema);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut with_heap = fixture::profile([]);
    with_heap.js_heaps = vec![fixture::js_heap()];
    for (name, profile) in fixture::all().into_iter().chain([
        ("with_heap", with_heap),
        ("with_sampled_heap", fixture::sampled_js_heap()),
        ("short_of_heap", fixture::short_of_heap()),
    ]) {
        for sites in [Sites::All, Sites::Suspected] {
            let document: Value = serde_json::from_str(&rendered(|out| write(&profile, sites, out))).unwrap();
            let errors: Vec<_> = validator
                .iter_errors(&document)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:#?}");
        }
    }
}

#[test]
fn the_schema_can_fail() {
    let mut schema = published();
    closed(&mut schema);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let document: Value = serde_json::from_str(&rendered(|out| write(&fixture::many(), Sites::All, out))).unwrap();
    let breaches: [fn(&mut Value); 5] = [
        |document| document["format_version"] = 2.into(),
        |document| document["sites"][0]["live"]["bytes"] = (-1).into(),
        |document| document["sites"][0]["new"] = 1.into(),
        |document| document["health"]["stacks"]["new"] = 1.into(),
        |document| {
            document["processes"][0].as_object_mut().unwrap().remove("pid");
        },
    ];
    for breach in breaches {
        let mut damaged = document.clone();
        breach(&mut damaged);
        assert!(!validator.is_valid(&damaged));
    }
}
