//! Parquet: only the columns that are needed are read.

use std::fs::File;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::config::Role;
use crate::error::Result;

use super::rows::{Record, Rows, Value};
use super::{chat, parquet_chat};

pub(super) fn read(file: File, rows: &mut Rows<'_>) -> Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| rows.broken("in its footer", error))?;
    let schema = builder.schema().clone();
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let mut chosen = Vec::new();
    let best = |rows: &Rows<'_>, role| {
        let is_usable =
            |idx: usize| rows.columns.needs_text(role) || is_text(schema.field(idx).data_type());
        let candidates = names.iter().enumerate().filter_map(|(idx, name)| {
            let (found, rank) = rows.columns.role(name)?;
            (found == role && is_usable(idx)).then_some((rank, idx))
        });
        candidates.min()
    };
    let is_sample = Role::ALL
        .into_iter()
        .filter(|&role| rows.columns.is_required(role))
        .all(|role| best(rows, role).is_some());
    if let Some(idx) = names.iter().position(|name| chat::is_conversation(name))
        && !is_sample
    {
        return parquet_chat::read(builder, idx, rows);
    }
    for role in Role::ALL {
        match best(rows, role) {
            Some((_, idx)) => chosen.push((role, idx)),
            None if rows.columns.is_required(role) => return Err(rows.no_column(role, names)),
            None => {}
        }
    }
    for &(_, idx) in &chosen {
        let field = schema.field(idx);
        if !is_text(field.data_type()) {
            return Err(rows.column_type(field.name(), format!("{}", field.data_type())));
        }
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), chosen.iter().map(|(_, idx)| *idx));
    let batches = builder
        .with_projection(mask)
        .build()
        .map_err(|error| rows.broken("in its footer", error))?;
    for batch in batches {
        let batch = batch.map_err(|error| rows.broken("in its data", error))?;
        let mut columns = Vec::new();
        for &(role, idx) in &chosen {
            let column = batch
                .column_by_name(&names[idx])
                .expect("the projection keeps it");
            columns.push((
                role,
                text(column).map_err(|error| rows.broken("in its data", error))?,
            ));
        }
        for row in 0..batch.num_rows() {
            let mut record = Record::default();
            for (role, texts) in &columns {
                let value = if texts.is_null(row) {
                    Value::Null
                } else {
                    Value::Text(texts.value(row).to_owned())
                };
                record.set((*role, 0), value);
            }
            rows.push_numbered(&record, &names);
        }
        if !rows.is_wanted() {
            break;
        }
    }
    Ok(())
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn text(column: &ArrayRef) -> arrow::error::Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}
