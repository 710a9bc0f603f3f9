//! JSON, as an array of objects or as an object a line. An array is read element by element, whatever its size.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::error::Result;

use super::chat;
use super::columns::Columns;
use super::rows::{Record, Rows, Value};
use super::utf8::{self, Account, Utf8Reader};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Self-Instruct keeps the inputs and outputs of an instruction in a list of this name.
const INSTANCES: &str = "instances";

/// Column names kept for a complaint; a record with more is not worth listing.
const NAMES_KEPT: usize = 20;

/// `offset` says how far into the text `reader` begins, here and below.
pub(super) fn read_array(reader: impl BufRead, offset: u64, rows: &mut Rows<'_>) -> Result<()> {
    let reader = Utf8Reader::new(reader, offset, rows.reading.repair_encoding);
    let account = reader.account();
    let elements = Elements {
        rows,
        account: &account,
    };
    let mut json = serde_json::Deserializer::from_reader(reader);
    let outcome = json
        .deserialize_seq(elements)
        .and_then(|()| if rows.is_wanted() { json.end() } else { Ok(()) });
    if let Some(not_utf8) = account.failure() {
        return Err(rows.not_utf8(not_utf8));
    }
    match outcome {
        Err(error) if rows.is_wanted() => {
            Err(rows.broken(&format!("at line {}", error.line()), error))
        }
        _ => Ok(()),
    }
}

pub(super) fn read_lines(reader: impl BufRead, offset: u64, rows: &mut Rows<'_>) -> Result<()> {
    read_each_line(reader, offset, rows, |_| true)
}

/// Like [`read_lines`], for a file that only may be JSON Lines: one object printed over many lines is refused at the first.
pub(super) fn read_objects(reader: impl BufRead, offset: u64, rows: &mut Rows<'_>) -> Result<()> {
    read_each_line(reader, offset, rows, |error| !error.is_eof())
}

fn read_each_line(
    mut reader: impl BufRead,
    mut offset: u64,
    rows: &mut Rows<'_>,
    may_begin_with: fn(&serde_json::Error) -> bool,
) -> Result<()> {
    let mut line = Vec::new();
    for line_number in 1_u64.. {
        line.clear();
        let n_bytes = reader.read_until(b'\n', &mut line);
        if n_bytes.map_err(|error| rows.broken(&format!("at line {line_number}"), error))? == 0
            || !rows.is_wanted()
        {
            break;
        }
        let line_offset = offset;
        offset += line.len() as u64;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = || format!("line {line_number}");
        let text = match utf8::text(&line, rows.reading.repair_encoding) {
            Ok(text) => text,
            Err(mut not_utf8) => {
                not_utf8.offset += line_offset;
                rows.push_unreadable(format!("{}: {not_utf8}", place()));
                continue;
            }
        };
        let is_repaired = matches!(text, Cow::Owned(_));
        // One stands wherever a file that began with one was appended to another.
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        let mut json = serde_json::Deserializer::from_str(text);
        let parsed = Element {
            columns: rows.columns,
        }
        .deserialize(&mut json)
        .and_then(|parsed| json.end().map(|()| parsed));
        match parsed {
            Ok(parsed) => parsed.push(rows, is_repaired, place),
            Err(error) if rows.n_rows() == 0 && !may_begin_with(&error) => {
                return Err(rows.no_format());
            }
            Err(error) => {
                // The parser saw this line alone.
                let problem = error.to_string().replace("at line 1 column", "at column");
                rows.push_unreadable(format!("{}: {problem}", place()));
            }
        }
    }
    Ok(())
}

/// An element of the array or a line: an object, or what stands in its place.
enum Parsed {
    Object {
        record: Box<Record>,
        names: Vec<String>,
    },
    Other(&'static str),
}

impl Parsed {
    fn push(self, rows: &mut Rows<'_>, is_repaired: bool, place: impl Fn() -> String) {
        match self {
            Parsed::Object { mut record, names } => {
                record.marks.repaired_encoding = is_repaired;
                rows.push(&record, || names.clone(), place);
            }
            Parsed::Other(found) => {
                rows.push_unreadable(format!("{}: it is {found}, not an object", place()))
            }
        }
    }
}

struct Elements<'r, 'a> {
    rows: &'r mut Rows<'a>,
    account: &'r Account,
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> std::result::Result<(), A::Error> {
        let mut n_repaired = self.account.n_repaired();
        while let Some(parsed) = elements.next_element_seed(Element {
            columns: self.rows.columns,
        })? {
            let record_number = self.rows.n_rows();
            let n_repaired_before = n_repaired;
            n_repaired = self.account.n_repaired();
            let is_repaired = n_repaired > n_repaired_before;
            parsed.push(self.rows, is_repaired, || format!("record {record_number}"));
            if !self.rows.is_wanted() {
                return Err(A::Error::custom("nobody reads on"));
            }
        }
        Ok(())
    }
}

struct Element<'c> {
    columns: &'c Columns,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Parsed;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Parsed, D::Error> {
        json.deserialize_any(self)
    }
}

/// The visits of a value that is of no use here: it is read over and called by its name.
macro_rules! other_values {
    ($other:expr) => {
        fn visit_bool<E>(self, _: bool) -> std::result::Result<Self::Value, E> {
            Ok($other("a truth value"))
        }
        fn visit_i64<E>(self, _: i64) -> std::result::Result<Self::Value, E> {
            Ok($other("a number"))
        }
        fn visit_u64<E>(self, _: u64) -> std::result::Result<Self::Value, E> {
            Ok($other("a number"))
        }
        fn visit_f64<E>(self, _: f64) -> std::result::Result<Self::Value, E> {
            Ok($other("a number"))
        }
        fn visit_seq<A: SeqAccess<'de>>(
            self,
            mut list: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other("a list"))
        }
    };
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Parsed, A::Error> {
        let mut record = Record::default();
        let mut names = Vec::new();
        while let Some(name) = object.next_key::<String>()? {
            if let Some(role) = self.columns.role(&name) {
                record.set(role, object.next_value_seed(Text)?);
            } else if name.eq_ignore_ascii_case(INSTANCES) {
                record.instances = object.next_value_seed(Instances {
                    columns: self.columns,
                })?;
            } else if chat::is_conversation(&name) {
                record.conversation = Some(object.next_value()?);
            } else if name == chat::SYSTEM_COLUMN {
                if let Value::Text(text) = object.next_value_seed(Text)? {
                    record.system = Some(text);
                }
            } else {
                object.next_value::<IgnoredAny>()?;
            }
            if names.len() < NAMES_KEPT {
                names.push(name);
            }
        }
        Ok(Parsed::Object {
            record: Box::new(record),
            names,
        })
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Parsed, E> {
        Ok(Parsed::Other("text"))
    }

    fn visit_unit<E>(self) -> std::result::Result<Parsed, E> {
        Ok(Parsed::Other("null"))
    }

    other_values!(Parsed::Other);
}

/// The value of a column that should be text.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> std::result::Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other("an object"))
    }

    other_values!(Value::Other);
}

/// Self-Instruct's list of inputs and outputs. What is no list is not meant by it.
struct Instances<'c> {
    columns: &'c Columns,
}

impl<'de> DeserializeSeed<'de> for Instances<'_> {
    type Value = Option<Vec<Record>>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        json: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Instances<'_> {
    type Value = Option<Vec<Record>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(
        self,
        mut list: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut instances = Vec::new();
        while let Some(parsed) = list.next_element_seed(Element {
            columns: self.columns,
        })? {
            instances.push(match parsed {
                Parsed::Object { record, .. } => *record,
                Parsed::Other(_) => Record::default(),
            });
        }
        Ok(Some(instances))
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut object: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
}
