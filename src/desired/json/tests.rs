use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

fn refused(text: &str) -> (String, usize) {
    let error = parse(text, false).unwrap_err();
    (error.message, error.span.start)
}

#[test]
fn a_json_file_holds_rfc_8259_and_nothing_else() {
    for (text, message, at) in [
        ("", "the file is empty", 0),
        (" \n", "the file is empty", 0),
        ("{\"a\": 1,}", "trailing comma", 7),
        ("[1,]", "trailing comma", 2),
        ("{\"a\": 1 \"b\": 2}", "a comma is missing here", 7),
        ("[1 2]", "a comma is missing here", 2),
        ("// x\n{}", "comments are not allowed in a .json file", 0),
        ("{} {}", "more than one value in the file", 3),
        ("{'a': 1}", "a text in single quotes", 1),
        ("{a: 1}", "a field's name without quotes", 1),
        ("{\"a\": yes}", "this is no JSON value", 6),
        ("{\"a\": }", "unexpected close brace", 6),
        ("{\"a\"", "a colon is missing after the field's name", 4),
        ("{\"a\": {", "this object has no end", 6),
        ("[1", "this list has no end", 0),
        ("\u{feff}{}", "the file begins with a byte order mark", 0),
        ("{\u{a0}}", "stray character '\\u{a0}'", 1),
        ("\"a\tb\"", "a tab within a text", 2),
        ("\"a\nb\"", "the line ends within a text", 2),
        ("\"a\0\"", "stray control character '\\0'", 2),
    ] {
        assert_eq!(refused(text), (message.to_owned(), at), "{text:?}");
    }
    for text in
        ["01", "+1", ".5", "5.", "0x1F", "NaN", "-Infinity", "1e", "tru", "\"\\x41\"", "\"\\ud800\"", "[,1]", "}"]
    {
        assert!(parse(text, false).is_err(), "{text:?}");
    }
}

#[test]
fn a_jsonc_file_may_have_comments_and_nothing_else() {
    assert!(parse("// a \"{[\n{ /* b \" { */ \"c\": 1 } // d", true).is_ok());
    assert!(parse("/*/ { */ [1]", true).is_ok());
    assert_eq!(parse("// only", true).unwrap_err().message, "the file holds nothing but comments");
    assert!(parse("{\"a\": 1,}", true).is_err());
    assert!(parse("{} /* open", true).is_err());
}

#[test]
fn brackets_in_texts_and_comments_do_not_nest() {
    let text = format!("[\"{}\\\"{}\"]", "[".repeat(1000), "{".repeat(1000));
    assert!(parse(&text, false).is_ok());
    assert!(parse(&format!("[] // {}", "[".repeat(1000)), true).is_ok());
}

#[test]
fn depth_is_limited_far_from_the_end_of_the_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(64), false).is_ok());
    assert_eq!(refused(&nested(65)), ("nested deeper than 64 levels".into(), 64));
    assert_eq!(refused(&"[".repeat(1 << 20)).0, "nested deeper than 64 levels");
    assert_eq!(refused(&"{\"a\":".repeat(1 << 18)).0, "nested deeper than 64 levels");
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Shape {
    count: Option<i64>,
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    named: BTreeMap<String, bool>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Item {
    color: Color,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Color {
    Red,
    Green,
}

fn mistake(text: &str) -> (String, String, &str, Option<String>) {
    let value = parse(text, false).unwrap();
    let error = from_value::<Shape>(&value).unwrap_err();
    let span = error.span.clone().expect("every error has a place");
    (error.message(), error.pointer.to_string(), &text[span], error.help())
}

#[test]
fn what_fits_is_read() {
    let value = parse(r#"{"count": -3, "items": [{"color": "red"}], "named": {"x": true}}"#, false).unwrap();
    let expected = Shape {
        count: Some(-3),
        items: vec![Item { color: Color::Red }],
        named: BTreeMap::from([("x".to_owned(), true)]),
    };
    assert_eq!(from_value::<Shape>(&value).unwrap(), expected);
}

#[test]
fn an_unknown_field_is_marked_at_its_key_with_a_suggestion() {
    let (message, pointer, marked, help) = mistake(r#"{"items": [{"colour": "red"}]}"#);
    assert_eq!((message.as_str(), pointer.as_str()), ("unknown field \"colour\"", "/items/0/colour"));
    assert_eq!((marked, help.as_deref()), ("\"colour\"", Some("did you mean \"color\"?")));
}

#[test]
fn an_unknown_value_is_marked_and_named_after_its_field() {
    let (message, pointer, marked, help) = mistake(r#"{"items": [{"color": "grene"}]}"#);
    assert_eq!((message.as_str(), pointer.as_str()), ("unknown color \"grene\"", "/items/0/color"));
    assert_eq!((marked, help.as_deref()), ("\"grene\"", Some("did you mean \"green\"?")));
}

#[test]
fn a_missing_field_is_marked_at_what_lacks_it() {
    let (message, pointer, marked, _) = mistake(r#"{"items": [{}]}"#);
    assert_eq!((message.as_str(), pointer.as_str(), marked), ("missing field \"color\"", "/items/0", "{"));
}

#[test]
fn a_field_given_twice_is_marked_at_the_second_also_in_maps() {
    let (message, pointer, marked, _) = mistake(r#"{"count": 1, "count": 2}"#);
    assert_eq!((message.as_str(), pointer.as_str(), marked), ("field \"count\" is given twice", "/count", "\"count\""));
    assert_eq!(mistake(r#"{"named": {"x": true, "x": false}}"#).1, "/named/x");
}

#[test]
fn a_wrong_type_is_told_in_the_words_of_json() {
    for (text, message, marked) in [
        (r#"{"count": "3"}"#, "expected a whole number, found the text \"3\"", "\"3\""),
        (r#"{"count": 2.5}"#, "expected a whole number, found the number 2.5", "2.5"),
        (r#"{"count": 1e999}"#, "expected a whole number, found the number inf", "1e999"),
        (r#"{"count": null}"#, "expected a whole number, found null", "null"),
        (r#"{"items": {}}"#, "expected a list, found an object", "\"items\""),
        (r#"{"items": ["red"]}"#, "expected an object, found the text \"red\"", "\"red\""),
        (r#"{"items": [{"color": 3}]}"#, "expected a text, found a number", "3"),
        (r#"{"named": {"x": 1}}"#, "expected true or false, found the number 1", "1"),
        ("[]", "expected an object, found a list", "["),
    ] {
        let found = mistake(text);
        assert_eq!((found.0.as_str(), found.2), (message, marked), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*", comments: bool) {
        if let Ok(value) = parse(&text, comments) {
            let _ = from_value::<Shape>(&value);
        }
    }

    #[test]
    fn no_soup_of_tokens_makes_it_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\"count\"", "\"items\"", "\\", "\\u12", "1", "-", "1e5", "true",
                "null", "//", "/*", "*/", "\n", "é", "\u{2028}", "'", " ",
            ]),
            0..40,
        ),
        comments: bool,
    ) {
        if let Ok(value) = parse(&tokens.concat(), comments) {
            let _ = from_value::<Shape>(&value);
        }
    }

    #[test]
    fn what_it_reads_as_json_is_json(text in "[\\[\\]{}:,\"a0-9.eE+\\-/* \n\\\\tu]{0,12}") {
        if parse(&text, false).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{:?}", text);
        }
    }
}
