//! Methods of Python's strings that templates call and the engine's own collection lacks, or whose work it would not count.

use std::fmt::{self, Write};

use minijinja::value::{Kwargs, Tuple, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// Bytes of a text that cost a step of work.
const BYTES_PER_FUEL: usize = 16;
/// The widest field of `format`.
const WIDTH_MAX: usize = 1_000;

/// A method of a value that the engine does not know by itself.
pub(super) fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return pycompat::unknown_method_callback(state, value, name, arguments);
    };
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<&str>,) = from_args(arguments)?;
            let text = match name {
                "rstrip" => text,
                _ => text.trim_start_matches(|c| is_stripped(c, characters)),
            };
            Value::from(match name {
                "lstrip" => text,
                _ => text.trim_end_matches(|c| is_stripped(c, characters)),
            })
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" | "rpartition" => {
            let (between,): (&str,) = from_args(arguments)?;
            Value::from(Tuple::from(partition(text, between, name == "rpartition")?))
        }
        "rsplit" => {
            let (between, n_max): (&str, Option<usize>) = from_args(arguments)?;
            let n_parts = n_max.map_or(usize::MAX, |n| n.saturating_add(1));
            refuse_empty(between)?;
            let mut parts: Vec<_> = text.rsplitn(n_parts, between).map(Value::from).collect();
            parts.reverse();
            Value::from(parts)
        }
        "join" => {
            let (values,): (&Value,) = from_args(arguments)?;
            joined(state, values, text, None)?
        }
        "format" if has_wide_field(text) => {
            let problem = format!("`format` with a field wider than {WIDTH_MAX}");
            return Err(Error::new(ErrorKind::InvalidOperation, problem));
        }
        _ => return pycompat::unknown_method_callback(state, value, name, arguments),
    })
}

/// The filter `trim`: Python's `strip`.
pub(super) fn trim(
    state: &State<'_, '_>,
    value: &Value,
    characters: Option<&str>,
) -> Result<Value, Error> {
    let text = string(state, value)?;
    let text = text.as_str().expect("made above");
    Ok(Value::from(
        text.trim_matches(|c| is_stripped(c, characters)),
    ))
}

/// The filter `string`: a list that holds itself many times over is paid for while it is written.
pub(super) fn string(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.as_str().is_some() {
        return Ok(value.clone());
    }
    let mut text = Paid::new(state);
    text.put(format_args!("{value}"))?;
    Ok(Value::from(text.text))
}

/// The filter `join`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands arguments by name over"
)]
pub(super) fn join(
    state: &State<'_, '_>,
    values: &Value,
    separator: Option<&str>,
    names: Kwargs,
) -> Result<Value, Error> {
    let separator = match separator {
        Some(separator) => Some(separator),
        None => names.get("d")?,
    };
    let attribute: Option<&str> = names.get("attribute")?;
    names.assert_all_used()?;
    joined(state, values, separator.unwrap_or_default(), attribute)
}

fn joined(
    state: &State<'_, '_>,
    values: &Value,
    separator: &str,
    attribute: Option<&str>,
) -> Result<Value, Error> {
    let mut text = Paid::new(state);
    for (nth, value) in values.try_iter()?.enumerate() {
        let value = match attribute {
            Some(attribute) => value.get_attr(attribute)?,
            None => value,
        };
        let separator = if nth > 0 { separator } else { "" };
        text.put(format_args!("{separator}{value}"))?;
    }
    Ok(Value::from(text.text))
}

/// What `strip` takes away: the characters named, or what Python takes for space, which is four control characters more than
/// Unicode does.
fn is_stripped(character: char, characters: Option<&str>) -> bool {
    match characters {
        Some(characters) => characters.contains(character),
        None => character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character),
    }
}

fn partition(text: &str, between: &str, from_end: bool) -> Result<[Value; 3], Error> {
    refuse_empty(between)?;
    let found = match from_end {
        true => text.rsplit_once(between),
        false => text.split_once(between),
    };
    let parts = match found {
        Some((before, after)) => [before, between, after],
        None if from_end => ["", "", text],
        None => [text, "", ""],
    };
    Ok(parts.map(Value::from))
}

fn refuse_empty(between: &str) -> Result<(), Error> {
    match between {
        "" => Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        _ => Ok(()),
    }
}

/// Whether a format string holds a number above [`WIDTH_MAX`], which may be a width: the text would be made before it is paid for.
fn has_wide_field(format: &str) -> bool {
    format
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .any(|digits| {
            digits
                .parse()
                .map_or(true, |width: usize| width > WIDTH_MAX)
        })
}

/// A text that is paid for as it grows.
struct Paid<'a> {
    state: &'a State<'a, 'a>,
    text: String,
}

impl<'a> Paid<'a> {
    fn new(state: &'a State<'a, 'a>) -> Paid<'a> {
        Paid {
            state,
            text: String::new(),
        }
    }

    fn put(&mut self, more: fmt::Arguments<'_>) -> Result<(), Error> {
        self.write_fmt(more)
            .map_err(|_| Error::from(ErrorKind::OutOfFuel))
    }
}

impl Write for Paid<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let before = self.text.len() / BYTES_PER_FUEL;
        let after = (self.text.len() + more.len()) / BYTES_PER_FUEL;
        let paid = self.state.consume_fuel((after - before) as u64);
        paid.map_err(|_| fmt::Error)?;
        self.text.push_str(more);
        Ok(())
    }
}
