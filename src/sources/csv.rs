//! CSV with a header, as RFC 4180 has it: quoted commas, quotes and line breaks, CRLF or LF.

use std::borrow::Cow;
use std::io::BufRead;

use csv::ByteRecord;

use crate::config::Role;
use crate::error::Result;

use super::rows::{Record, Rows, Value};
use super::utf8;

/// Put behind the file: it comes out as a record of its own, unless a quote that nobody closed has swallowed it.
const END: &str = "\u{1}end of file\u{1}";

pub(super) fn read(mut reader: impl BufRead, delimiter: u8, rows: &mut Rows<'_>) -> Result<()> {
    let start = reader.fill_buf();
    let start = start.map_err(|error| rows.broken("at its beginning", error))?;
    let is_crlf = start
        .split(|&byte| byte == b'\n')
        .next()
        .is_some_and(|line| line.ends_with(b"\r"));
    let end = format!("\n{END}");
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(reader.chain(end.as_bytes()));
    let header = reader
        .byte_headers()
        .map_err(|error| rows.broken("in its header", error))?
        .clone();
    let names: Vec<String> = header
        .iter()
        .map(
            |name| match utf8::text(name, rows.reading.repair_encoding) {
                Ok(text) => text.trim().to_owned(),
                Err(_) => String::from_utf8_lossy(name).trim().to_owned(),
            },
        )
        .collect();
    let roles: Vec<_> = names.iter().map(|name| rows.columns.role(name)).collect();
    for role in Role::ALL {
        if rows.columns.is_required(role)
            && !roles.iter().flatten().any(|(found, _)| *found == role)
        {
            return Err(rows.no_column(role, names));
        }
    }
    // The reader takes the line feed of the header for the beginning of the first record, and so on.
    let n_behind = u64::from(is_crlf);
    let mut fields = ByteRecord::new();
    while rows.is_wanted() {
        let more = reader.read_byte_record(&mut fields);
        let line = fields.position().map_or(0, csv::Position::line) + n_behind;
        if !more.map_err(|error| rows.broken(&format!("near line {line}"), error))? {
            break;
        }
        let last = fields.iter().next_back().unwrap_or_default();
        if last.ends_with(END.as_bytes()) {
            let is_alone = fields.len() == 1 && last == END.as_bytes();
            let unclosed = || {
                rows.broken(
                    &format!("at line {line}"),
                    "a quote is opened and never closed",
                )
            };
            return if is_alone { Ok(()) } else { Err(unclosed()) };
        }
        push(&fields, &roles, &names, line, rows);
    }
    Ok(())
}

fn push(
    fields: &ByteRecord,
    roles: &[Option<(Role, usize)>],
    names: &[String],
    line: u64,
    rows: &mut Rows<'_>,
) {
    if fields.len() != names.len() {
        let (found, expected) = (fields.len(), names.len());
        return rows.push_unreadable(format!(
            "line {line}: it has {found} fields, the header {expected}"
        ));
    }
    let mut record = Record::default();
    for (nth, (field, role)) in fields.iter().zip(roles).enumerate() {
        let Some(role) = role else { continue };
        match utf8::text(field, rows.reading.repair_encoding) {
            Ok(text) => {
                record.marks.repaired_encoding |= matches!(text, Cow::Owned(_));
                record.set(*role, Value::Text(text.into_owned()));
            }
            Err(not_utf8) => {
                let before = &field[..not_utf8.offset as usize];
                let line = line + before.iter().filter(|&&byte| byte == b'\n').count() as u64;
                return rows.push_unreadable(format!(
                    "line {line}: the byte 0x{:02x} at offset {} of column `{}` is not UTF-8",
                    not_utf8.byte, not_utf8.offset, names[nth]
                ));
            }
        }
    }
    rows.push(&record, || names.to_vec(), || format!("line {line}"));
}
