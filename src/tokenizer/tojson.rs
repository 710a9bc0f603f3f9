//! The filter `tojson` as transformers defines it: Python's `json.dumps`, which escapes no HTML.

use std::io::{self, Write};

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, State, Value};
use serde::Serialize;
use serde_json::Value as Json;
use serde_json::ser::{Formatter, Serializer};

/// Lists in lists: more than any conversation has, few enough for the stack.
const DEPTH_MAX: usize = 64;
/// Bytes that cost one step of work: a quarter of what the engine takes for bytes that are only copied.
const BYTES_PER_FUEL: usize = 16;

/// `value|tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands arguments by name over"
)]
pub(super) fn tojson(
    state: &State<'_, '_>,
    value: &Value,
    places: &[Value],
    names: Kwargs,
) -> Result<Value, Error> {
    let argument = |place: usize, name: &str| -> Result<Option<Value>, Error> {
        let value = match places.get(place) {
            Some(value) => Some(value.clone()),
            None => names.get(name)?,
        };
        Ok(value.filter(|value: &Value| !value.is_none() && !value.is_undefined()))
    };
    if value.is_undefined() {
        // As in Python, which would not know what to write.
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let is_set = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let ascii = is_set(argument(0, "ensure_ascii")?);
    let indent = argument(1, "indent")?
        .as_ref()
        .map(indentation)
        .transpose()?;
    let separators = argument(2, "separators")?
        .as_ref()
        .map(separators)
        .transpose()?;
    let sorted = is_set(argument(3, "sort_keys")?);
    names.assert_all_used()?;
    let (item, key) = separators.unwrap_or_else(|| {
        let item = if indent.is_some() { "," } else { ", " };
        (item.to_owned(), ": ".to_owned())
    });
    let style = PythonStyle::new(ascii, indent, item, key);
    let written = if sorted {
        // By way of a text, which bounds depth and size; a JSON object keeps its keys sorted.
        let plain = PythonStyle::new(false, None, ",".to_owned(), ":".to_owned());
        let bytes = json(state, value, plain)?;
        let value: Json = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
        json(state, &value, style)
    } else {
        json(state, value, style)
    };
    let text = String::from_utf8(written?).expect("JSON is UTF-8");
    Ok(Value::from(text))
}

fn json<T: Serialize>(
    state: &State<'_, '_>,
    value: &T,
    style: PythonStyle,
) -> Result<Vec<u8>, Error> {
    let mut out = Paid {
        state,
        bytes: Vec::new(),
    };
    let written = value.serialize(&mut Serializer::with_formatter(&mut out, style));
    match written {
        Ok(()) => Ok(out.bytes),
        // What was paid for before is paid: where nothing is left, that is the reason.
        Err(error) => Err(match state.consume_fuel(0) {
            Err(empty) => empty,
            Ok(()) => bad(&error),
        }),
    }
}

fn bad(problem: &serde_json::Error) -> Error {
    Error::new(ErrorKind::BadSerialization, problem.to_string())
}

fn indentation(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Ok(" ".repeat(usize::from(u8::try_from(value.clone())?))),
    }
}

fn separators(value: &Value) -> Result<(String, String), Error> {
    let text = |place: usize| -> Result<String, Error> {
        let part = value.get_item_by_index(place)?;
        part.as_str()
            .map(str::to_owned)
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "separators are two texts"))
    };
    Ok((text(0)?, text(1)?))
}

/// Bytes that are paid for as they come.
struct Paid<'a> {
    state: &'a State<'a, 'a>,
    bytes: Vec<u8>,
}

impl Write for Paid<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.bytes.len() / BYTES_PER_FUEL;
        let after = (self.bytes.len() + bytes.len()) / BYTES_PER_FUEL;
        if after > before {
            let paid = self.state.consume_fuel((after - before) as u64);
            paid.map_err(io::Error::other)?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How `json.dumps` lays out what it writes.
struct PythonStyle {
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    depth: usize,
    has_value: bool,
}

impl PythonStyle {
    fn new(ascii: bool, indent: Option<String>, item: String, key: String) -> PythonStyle {
        PythonStyle {
            ascii,
            indent,
            item,
            key,
            depth: 0,
            has_value: false,
        }
    }

    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        if self.depth == DEPTH_MAX {
            let problem = format!("more than {DEPTH_MAX} lists in each other");
            return Err(io::Error::other(problem));
        }
        self.depth += 1;
        self.has_value = false;
        out.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.has_value {
            self.line(out)?;
        }
        self.has_value = true;
        out.write_all(bracket)
    }

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(self.item.as_bytes())?;
        }
        self.line(out)
    }

    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        let Some(indent) = &self.indent else {
            return Ok(());
        };
        out.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| out.write_all(indent.as_bytes()))
    }
}

impl Formatter for PythonStyle {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !self.ascii || fragment.is_ascii() {
            return out.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            let mut units = [0; 2];
            if character.is_ascii() {
                out.write_all(&[character as u8])?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}
