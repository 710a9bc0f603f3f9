//! Documents of named values, and how they are written as JSON and as YAML.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::{Rng, phrasing::pick};

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Cow<'static, str>),
    Whole(i64),
    Flag(bool),
    List(Vec<Value>),
    /// Keys with their values. Unlike the maps of `serde_json`, it keeps their order whatever features that is built with.
    Object(Vec<(String, Value)>),
}

/// Where JSON has spaces and line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonLayout {
    /// One line, with a space after each colon and comma.
    Line,
    /// A line for each entry.
    Indented,
    /// No spaces at all.
    Compact,
}

/// The requests that are empty leave the layout open.
const ASK_LINE: &[&str] = &[
    "",
    "",
    "",
    "Write the JSON on one line.",
    "Keep it on a single line.",
    "The JSON has to fit on one line.",
    "Reply with the JSON only.",
    "Give the JSON and nothing else.",
    "Do not add any explanation.",
];

const ASK_INDENTED: &[&str] = &[
    "",
    "Indent it by two spaces.",
    "Pretty-print the JSON with an indentation of two spaces.",
    "Start a new line for every entry and indent by two spaces.",
    "Format it with line breaks and two spaces per level.",
];

const ASK_COMPACT: &[&str] = &[
    "Leave out spaces and line breaks between the tokens.",
    "Minify the JSON.",
    "Write compact JSON, without a space after colons and commas.",
    "Use the shortest notation, with no spaces around the punctuation.",
];

/// Words that YAML reads as something else than text.
const YAML_WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

impl JsonLayout {
    /// One of the three, compact least often.
    pub(super) fn any(rng: &mut Rng) -> JsonLayout {
        use JsonLayout::{Compact, Indented, Line};
        pick(rng, &[Line, Line, Line, Indented, Indented, Compact])
    }

    /// Words that ask for it, or none.
    pub(super) fn request(self, rng: &mut Rng) -> &'static str {
        match self {
            JsonLayout::Line => pick(rng, ASK_LINE),
            JsonLayout::Indented => pick(rng, ASK_INDENTED),
            JsonLayout::Compact => pick(rng, ASK_COMPACT),
        }
    }
}

impl Value {
    /// The value as JSON.
    pub(super) fn json(&self, layout: JsonLayout) -> String {
        match layout {
            JsonLayout::Line => self.json_by(OneLine),
            JsonLayout::Indented => self.json_by(PrettyFormatter::new()),
            JsonLayout::Compact => self.json_by(CompactFormatter),
        }
    }

    fn json_by(&self, formatter: impl Formatter) -> String {
        let mut bytes = Vec::with_capacity(128);
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        self.serialize(&mut serializer)
            .expect("keys are text, and writing to memory cannot fail");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    /// A list or an object as YAML in block style, indented by two spaces.
    pub(super) fn yaml(&self) -> String {
        let mut text = String::with_capacity(128);
        self.write_yaml(&mut text, 0);
        text.pop();
        text
    }

    fn write_yaml(&self, text: &mut String, indent: usize) {
        let start = |text: &mut String| text.extend((0..indent).map(|_| ' '));
        match self {
            Value::Object(entries) => {
                for (key, value) in entries {
                    start(text);
                    text.push_str(key);
                    match value {
                        Value::Object(_) | Value::List(_) => {
                            text.push_str(":\n");
                            value.write_yaml(text, indent + 2);
                        }
                        scalar => {
                            text.push_str(": ");
                            scalar.write_yaml(text, indent);
                        }
                    }
                }
            }
            Value::List(items) => {
                for item in items {
                    let line = text.len() + indent;
                    match item {
                        // The first key of an object stands behind the dash.
                        Value::Object(_) => {
                            item.write_yaml(text, indent + 2);
                            text.replace_range(line..line + 2, "- ");
                        }
                        item => {
                            start(text);
                            text.push_str("- ");
                            item.write_yaml(text, indent + 2);
                        }
                    }
                }
            }
            Value::Text(word) if YAML_WORDS.contains(&&**word) || starts_with_digit(word) => {
                text.push('"');
                text.push_str(word);
                text.push_str("\"\n");
            }
            scalar => {
                text.push_str(&scalar.plain());
                text.push('\n');
            }
        }
    }

    /// A value that is no list and no object, without quotes.
    pub(super) fn plain(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Whole(number) => Cow::Owned(number.to_string()),
            Value::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Value::List(_) | Value::Object(_) => {
                unreachable!("only single values are written plain")
            }
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Whole(number)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Whole(number) => serializer.serialize_i64(*number),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::List(items) => serializer.collect_seq(items),
            Value::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain())
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// `{"a": 1, "b": [2, 3]}`
struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::read_yaml;
    use super::*;

    fn document() -> Value {
        let inner = vec![
            (
                "tools".to_owned(),
                Value::List(vec!["axe".into(), 3.into()]),
            ),
            ("open".to_owned(), Value::Flag(true)),
        ];
        Value::List(vec![
            Value::Object(vec![
                ("day".to_owned(), Value::from("2024-02-29")),
                ("more".to_owned(), Value::Object(inner)),
            ]),
            Value::from("no"),
        ])
    }

    #[test]
    fn json_has_three_layouts_that_keep_the_order_of_keys() {
        assert_eq!(
            document().json(JsonLayout::Line),
            r#"[{"day": "2024-02-29", "more": {"tools": ["axe", 3], "open": true}}, "no"]"#
        );
        assert_eq!(
            document().json(JsonLayout::Compact),
            r#"[{"day":"2024-02-29","more":{"tools":["axe",3],"open":true}},"no"]"#
        );
        let indented = document().json(JsonLayout::Indented);
        assert!(indented.starts_with("[\n  {\n    \"day\": \"2024-02-29\",\n    \"more\": {\n"));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&indented), read(&document().json(JsonLayout::Compact)));
    }

    #[test]
    fn yaml_is_in_block_style_and_quotes_what_would_not_be_text() {
        let expected = "- day: \"2024-02-29\"\n  more:\n    tools:\n      - axe\n      - 3\n    open: true\n- \"no\"";
        assert_eq!(document().yaml(), expected);
        let json = document().json(JsonLayout::Line);
        let same: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read_yaml(expected), same);
    }
}
