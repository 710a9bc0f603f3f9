//! Conversations in Parquet: a column that is a list of messages.

use std::fs::File;

use arrow::json::LineDelimitedWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value as Json};

use crate::error::Result;

use super::chat;
use super::rows::{Record, Rows};

/// Rows turned to JSON at a time; a conversation may be long.
const ROWS_PER_BATCH: usize = 256;

/// Reads the conversations in the column at `conversation_idx`.
pub(super) fn read(
    builder: ParquetRecordBatchReaderBuilder<File>,
    conversation_idx: usize,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let names: Vec<String> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let system_idx = names
        .iter()
        .position(|name| name.eq_ignore_ascii_case(chat::SYSTEM_COLUMN));
    let chosen = [Some(conversation_idx), system_idx].into_iter().flatten();
    let mask = ProjectionMask::roots(builder.parquet_schema(), chosen);
    let batches = builder
        .with_projection(mask)
        .with_batch_size(ROWS_PER_BATCH)
        .build()
        .map_err(|error| rows.broken("in its footer", error))?;
    for batch in batches {
        let batch = batch.map_err(|error| rows.broken("in its data", error))?;
        // As JSON, every way to nest lists and structs is one way, the one that is understood already.
        let mut lines = LineDelimitedWriter::new(Vec::new());
        lines
            .write(&batch)
            .and_then(|()| lines.finish())
            .map_err(|error| rows.broken("in its data", error))?;
        let lines = lines.into_inner();
        for line in serde_json::Deserializer::from_slice(&lines).into_iter::<Map<String, Json>>() {
            let mut fields = line.map_err(|error| rows.broken("in its data", error))?;
            let system = match system_idx.and_then(|idx| fields.remove(&names[idx])) {
                Some(Json::String(text)) => Some(text),
                _ => None,
            };
            let mut record = Record::default();
            // Null is left out of the JSON.
            let conversation = fields.remove(&names[conversation_idx]);
            record.conversation = Some(conversation.unwrap_or(Json::Null));
            record.system = system;
            rows.push_numbered(&record, &names);
        }
        if !rows.is_wanted() {
            break;
        }
    }
    Ok(())
}
