use proptest::prelude::*;

use super::*;

/// Gives one byte at a time, so that everything is cut everywhere.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(&mut buffer[..1])
    }
}

fn numbers(text: &str) -> Result<Vec<u64>, Error> {
    let mut found = Vec::new();
    Source::new(Drops(text.as_bytes()))
        .numbers(|number| {
            found.push(number);
            Ok(())
        })
        .map(|()| found)
}

fn string(text: &str) -> Result<String, Error> {
    let mut found = Vec::new();
    Source::new(Drops(text.as_bytes()))
        .string(&mut found)
        .map(|()| String::from_utf8(found).unwrap())
}

#[test]
fn numbers_are_read_and_nothing_else() {
    assert!(numbers(" [ ]").unwrap().is_empty());
    assert_eq!(
        numbers("[1,\n2 ,0,18446744073709551615 ]").unwrap(),
        [1, 2, 0, u64::MAX]
    );
    for bad in [
        "[1,]",
        "[-1]",
        "[1.5]",
        "[a]",
        "1",
        "[1 2]",
        "[18446744073709551616]",
        "[000000000000000000001]",
    ] {
        assert!(matches!(numbers(bad), Err(Error::Malformed { .. })), "{bad}");
    }
    for cut in ["", "[", "[1", "[1,"] {
        assert!(matches!(numbers(cut), Err(Error::Truncated { .. })), "{cut}");
    }
}

#[test]
fn escapes_are_what_they_stand_for() {
    assert_eq!(
        string(r#""a\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00""#).unwrap(),
        "a\"\\/\u{8}\u{c}\n\r\tä😀"
    );
    assert_eq!(
        string(r#""\ud83dx\ud83d\u0041\udc00""#).unwrap(),
        "\u{fffd}x\u{fffd}A\u{fffd}"
    );
    assert!(matches!(string(r#""\x""#), Err(Error::Malformed { .. })));
    assert!(matches!(string(r#""\u12"#), Err(Error::Truncated { .. })));
}

proptest! {
    #[test]
    fn what_a_writer_wrote_is_read(text: String, list: Vec<u64>) {
        prop_assert_eq!(string(&serde_json::to_string(&text).unwrap()).unwrap(), text);
        prop_assert_eq!(numbers(&serde_json::to_string(&list).unwrap()).unwrap(), list);
    }

    #[test]
    fn any_value_is_passed_over(json in "[\\[\\]{}\",:\\\\a0 ]{0,40}") {
        let mut kept = Vec::new();
        let mut source = Source::new(Drops(json.as_bytes()));
        if source.value(1 << 10, &mut kept).is_ok() {
            prop_assert!(json.trim_start().as_bytes().starts_with(&kept));
        }
    }

    #[test]
    fn a_value_ends_where_it_ends(text: String, list: Vec<Option<String>>) {
        let value = serde_json::json!({"text": text, "list": [list, {"a": 1.5}]}).to_string();
        let whole = format!("{value},");
        let mut kept = Vec::new();
        let mut source = Source::new(Drops(whole.as_bytes()));
        source.value(1 << 20, &mut kept).unwrap();
        prop_assert_eq!(String::from_utf8(kept).unwrap(), value);
        prop_assert_eq!(source.peek().unwrap(), b',');
    }
}
