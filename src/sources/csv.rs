//! CSV with a header, as RFC 4180 has it: quoted commas, quotes and line breaks, CRLF or LF.

use std::io::BufRead;

use csv::{ByteRecord, ErrorKind};

use crate::config::Role;
use crate::error::Result;

use super::rows::{Record, Rows, Value};

pub(super) fn read(reader: impl BufRead, delimiter: u8, rows: &mut Rows<'_>) -> Result<()> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(reader);
    let header = reader
        .byte_headers()
        .map_err(|error| rows.broken("in its header", error))?
        .clone();
    let names: Vec<String> = header
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .collect();
    let roles: Vec<_> = names.iter().map(|name| rows.columns.role(name)).collect();
    for role in Role::ALL {
        if rows.columns.is_required(role)
            && !roles.iter().flatten().any(|(found, _)| *found == role)
        {
            return Err(rows.no_column(role, names));
        }
    }
    let mut fields = ByteRecord::new();
    while rows.is_wanted() {
        match reader.read_byte_record(&mut fields) {
            Ok(false) => break,
            Ok(true) => push(&fields, &roles, &names, rows),
            Err(error) => match error.kind() {
                ErrorKind::UnequalLengths {
                    pos,
                    expected_len,
                    len,
                } => {
                    let line = pos.as_ref().map_or(0, csv::Position::line);
                    rows.push_unreadable(format!(
                        "line {line}: it has {len} fields, the header {expected_len}"
                    ));
                }
                _ => {
                    return Err(
                        rows.broken(&format!("near line {}", reader.position().line()), error)
                    );
                }
            },
        }
    }
    Ok(())
}

fn push(
    fields: &ByteRecord,
    roles: &[Option<(Role, usize)>],
    names: &[String],
    rows: &mut Rows<'_>,
) {
    let line = || fields.position().map_or(0, csv::Position::line);
    let mut record = Record::default();
    for (nth, (field, role)) in fields.iter().zip(roles).enumerate() {
        let Some(role) = role else { continue };
        match std::str::from_utf8(field) {
            Ok(text) => record.set(*role, Value::Text(text.to_owned())),
            Err(_) => {
                return rows.push_unreadable(format!(
                    "line {}: column `{}` is not UTF-8",
                    line(),
                    names[nth]
                ));
            }
        }
    }
    rows.push(&record, || names.to_vec(), || format!("line {}", line()));
}
