//! JSON, as an array of objects or as an object a line. Either is parsed record by record, whatever its size.

use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind::{InvalidData, UnexpectedEof};
use std::io::{self, BufRead, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::config::Role;
use crate::error::Result;

use super::chat;
use super::columns::Columns;
use super::elements::{Element, Elements, End, MAX_BYTES};
use super::rows::{Record, Rows, Value};
use super::utf8::{self, NotUtf8};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Self-Instruct keeps the inputs and outputs of an instruction in a list of this name.
const INSTANCES: &str = "instances";

/// Column names kept for a complaint; a record with more is not worth listing.
const NAMES_KEPT: usize = 20;

/// `offset` says how far into the text `reader` begins, here and below.
pub(super) fn read_array(reader: impl BufRead, offset: u64, rows: &mut Rows<'_>) -> Result<()> {
    let mut elements = Elements::new(reader, offset);
    let mut is_first = true;
    // What was wrong with the element before, if it is no JSON.
    let mut wrong = None;
    loop {
        let line = elements.line();
        let element = elements.next();
        let element = element.map_err(|error| rows.broken(&format!("at line {line}"), error))?;
        if !rows.is_wanted() {
            return Ok(());
        }
        let is_empty_array = is_first && element.bytes.is_empty() && element.end == End::Bracket;
        if element.end == End::More {
            let problem = "a record is longer than 256 MiB";
            return Err(rows.broken(&format!("at line {line}"), problem));
        }
        if !is_empty_array {
            let was_wrong = wrong.take();
            wrong = push_element(&element, rows)?;
            // One record may be wrong; after two of them it is doubtful whether they were cut in the right places.
            if let Some(Wrong { place, problem }) = was_wrong
                && wrong.is_some()
            {
                return Err(rows.broken(&place, problem));
            }
        }
        is_first = false;
        let broken = |problem: io::Error| Err(rows.broken(&format!("at line {line}"), problem));
        match element.end {
            End::Comma => {}
            End::Bracket => break,
            End::Nothing | End::More => {
                return broken(io::Error::new(UnexpectedEof, "EOF inside the array"));
            }
        }
    }
    let line = elements.line();
    match elements.is_at_end() {
        Ok(true) => Ok(()),
        Ok(false) => Err(rows.broken(&format!("at line {line}"), "more follows the array")),
        Err(error) => Err(rows.broken(&format!("at line {line}"), error)),
    }
}

/// Why an element is no JSON.
struct Wrong {
    place: String,
    problem: String,
}

/// Hands on an element, or drops it and says why it is no JSON.
fn push_element(element: &Element<'_>, rows: &mut Rows<'_>) -> Result<Option<Wrong>> {
    let record_number = rows.n_records();
    if element.bytes.is_empty() && element.end != End::Nothing {
        let place = format!("at line {}", element.line);
        return Err(rows.broken(&place, "a comma with nothing on one of its sides"));
    }
    match parse(element.bytes, rows) {
        Ok(parsed) => parsed.push(element.bytes, rows, || format!("record {record_number}")),
        Err(Unparsed::NotUtf8(mut not_utf8)) => {
            let before = &element.bytes[..not_utf8.offset as usize];
            let line = element.line + before.iter().filter(|&&byte| byte == b'\n').count() as u64;
            not_utf8.offset += element.offset;
            rows.push_unreadable(format!("line {line}: {not_utf8}"));
        }
        Err(Unparsed::Json(error)) => {
            let line = element.line + (error.line() as u64).saturating_sub(1);
            // The parser counted from the element on.
            let shown = error.to_string();
            let problem = shown.split(" at line ").next().unwrap_or_default();
            let is_cut_off = error.is_eof() || element.end == End::Nothing;
            if is_cut_off || !element.bytes.starts_with(b"{") {
                let kind = if is_cut_off {
                    UnexpectedEof
                } else {
                    InvalidData
                };
                let problem = io::Error::new(kind, problem.to_owned());
                return Err(rows.broken(&format!("at line {line}"), problem));
            }
            rows.push_unreadable(format!("line {line}: {problem}"));
            return Ok(Some(Wrong {
                place: format!("at line {line}"),
                problem: problem.to_owned(),
            }));
        }
    }
    Ok(None)
}

pub(super) fn read_lines(reader: impl BufRead, offset: u64, rows: &mut Rows<'_>) -> Result<()> {
    read_each_line(reader, offset, rows, |_| true)
}

/// Like [`read_lines`], for a file that only may be JSON Lines: one object printed over many lines is refused. It begins with
/// a line that breaks off, and no object is on the next.
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
    let mut is_doubtful = false;
    for line_number in 1_u64.. {
        line.clear();
        let n_bytes = (&mut reader)
            .take(MAX_BYTES as u64)
            .read_until(b'\n', &mut line);
        if line.len() == MAX_BYTES && !line.ends_with(b"\n") {
            let problem = "a record is longer than 256 MiB";
            return Err(rows.broken(&format!("at line {line_number}"), problem));
        }
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
        let parsed = parse(&line, rows);
        if is_doubtful && !matches!(parsed, Ok(Parsed::Object(_))) {
            break;
        }
        is_doubtful = false;
        match parsed {
            Ok(parsed) => parsed.push(&line, rows, place),
            Err(Unparsed::NotUtf8(mut not_utf8)) => {
                not_utf8.offset += line_offset;
                rows.push_unreadable(format!("{}: {not_utf8}", place()));
            }
            Err(Unparsed::Json(error)) => {
                is_doubtful = rows.n_records() == 0 && !may_begin_with(&error);
                // The parser saw this line alone.
                let problem = error.to_string().replace("at line 1 column", "at column");
                rows.push_unreadable(format!("{}: {problem}", place()));
            }
        }
    }
    match is_doubtful {
        true => Err(rows.no_format()),
        false => Ok(()),
    }
}

/// Why a text is no JSON.
enum Unparsed {
    NotUtf8(NotUtf8),
    Json(serde_json::Error),
}

fn parse(bytes: &[u8], rows: &Rows<'_>) -> std::result::Result<Parsed, Unparsed> {
    let text = utf8::text(bytes, rows.reading.repair_encoding).map_err(Unparsed::NotUtf8)?;
    let is_repaired = matches!(text, Cow::Owned(_));
    // One stands wherever a file that began with one was appended to another.
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    let mut json = serde_json::Deserializer::from_str(text);
    let record = RecordSeed {
        columns: rows.columns,
    };
    let mut parsed = record
        .deserialize(&mut json)
        .and_then(|parsed| json.end().map(|()| parsed))
        .map_err(Unparsed::Json)?;
    if let Parsed::Object(record) = &mut parsed {
        record.marks.repaired_encoding = is_repaired;
    }
    Ok(parsed)
}

/// An element of the array or a line: an object, or what stands in its place.
enum Parsed {
    Object(Box<Record>),
    Other(&'static str),
}

impl Parsed {
    /// Hands on what was parsed from `bytes`.
    fn push(self, bytes: &[u8], rows: &mut Rows<'_>, place: impl Fn() -> String) {
        match self {
            Parsed::Object(record) => {
                let repair = rows.reading.repair_encoding;
                rows.push(&record, || names(bytes, repair), place)
            }
            Parsed::Other(found) => {
                rows.push_unreadable(format!("{}: it is {found}, not an object", place()));
            }
        }
    }
}

struct RecordSeed<'c> {
    columns: &'c Columns,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
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

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Parsed, A::Error> {
        let mut record = Record::default();
        while let Some(name) = object.next_key_seed(Name(self.columns))? {
            match name {
                Named::Column(role, rank) => {
                    record.set((role, rank), object.next_value_seed(Text)?);
                }
                Named::Instances => {
                    record.instances = object.next_value_seed(Instances {
                        columns: self.columns,
                    })?;
                }
                Named::Conversation => {
                    // A null beside a conversation says nothing.
                    let conversation: Option<serde_json::Value> = object.next_value()?;
                    record.conversation = conversation
                        .or(record.conversation)
                        .or(Some(serde_json::Value::Null));
                }
                Named::System => {
                    if let Value::Text(text) = object.next_value_seed(Text)? {
                        record.system = Some(text);
                    }
                }
                Named::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Parsed::Object(Box::new(record)))
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Parsed, E> {
        Ok(Parsed::Other("text"))
    }

    fn visit_unit<E>(self) -> std::result::Result<Parsed, E> {
        Ok(Parsed::Other("null"))
    }

    other_values!(Parsed::Other);
}

/// What the name of a member says.
enum Named {
    Column(Role, usize),
    Instances,
    Conversation,
    System,
    Other,
}

struct Name<'c>(&'c Columns);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Named;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Named, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<Named, E> {
        Ok(match self.0.role(name) {
            Some((role, rank)) => Named::Column(role, rank),
            None if name.eq_ignore_ascii_case(INSTANCES) => Named::Instances,
            None if chat::is_conversation(name) => Named::Conversation,
            None if name.eq_ignore_ascii_case(chat::SYSTEM_COLUMN) => Named::System,
            None => Named::Other,
        })
    }
}

/// The names in an object, for a complaint.
fn names(bytes: &[u8], repair_encoding: bool) -> Vec<String> {
    let Ok(text) = utf8::text(bytes, repair_encoding) else {
        return Vec::new();
    };
    let mut json = serde_json::Deserializer::from_str(text.trim_start_matches(BYTE_ORDER_MARK));
    json.deserialize_map(Names).unwrap_or_default()
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut object: A,
    ) -> std::result::Result<Vec<String>, A::Error> {
        let mut names = Vec::new();
        while let Some((name, _)) = object.next_entry::<_, IgnoredAny>()? {
            names.push(name);
            if names.len() == NAMES_KEPT {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            }
        }
        Ok(names)
    }
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
        while let Some(parsed) = list.next_element_seed(RecordSeed {
            columns: self.columns,
        })? {
            instances.push(match parsed {
                Parsed::Object(record) => *record,
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
