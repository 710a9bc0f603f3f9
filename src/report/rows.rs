//! The rows of a query, printed.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::{ArrowError, Result};
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::table::{Style, render};

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal; long cells are cut
    Table,
    /// RFC 4180, with a header
    Csv,
    /// An array of objects
    Json,
    /// A Markdown table
    Markdown,
}

/// Prints batches of one schema. CSV and JSON leave as they come; a table waits for its widest cell.
pub struct RowPrinter<W: Write> {
    printer: Printer<W>,
}

enum Printer<W: Write> {
    Csv(Box<arrow::csv::Writer<W>>),
    Json(arrow::json::Writer<W, JsonArray>),
    Table {
        style: Style,
        schema: SchemaRef,
        cells: Vec<Vec<String>>,
        out: W,
    },
}

impl<W: Write> RowPrinter<W> {
    /// Begins to print to `out`.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(format: Format, schema: &SchemaRef, out: W) -> Result<RowPrinter<W>> {
        let table = |style, out| Printer::Table {
            style,
            schema: SchemaRef::clone(schema),
            cells: Vec::new(),
            out,
        };
        let printer = match format {
            Format::Csv => {
                let mut csv = arrow::csv::Writer::new(out);
                // The header stands there even if no row follows.
                csv.write(&RecordBatch::new_empty(SchemaRef::clone(schema)))?;
                Printer::Csv(Box::new(csv))
            }
            Format::Json => {
                Printer::Json(WriterBuilder::new().with_explicit_nulls(true).build(out))
            }
            Format::Table => table(Style::Terminal, out),
            Format::Markdown => table(Style::Markdown, out),
        };
        Ok(RowPrinter { printer })
    }

    /// Prints the rows of a batch.
    ///
    /// # Errors
    /// When they cannot be formatted or written.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.printer {
            Printer::Csv(csv) => csv.write(batch),
            Printer::Json(json) => json.write(batch),
            Printer::Table { cells, .. } => {
                cells.extend(texts(batch)?);
                Ok(())
            }
        }
    }

    /// Prints what is still to be said.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<()> {
        match self.printer {
            Printer::Csv(_) => Ok(()),
            Printer::Json(mut json) => {
                json.finish()?;
                writeln!(json.into_inner()).map_err(ArrowError::from)
            }
            Printer::Table {
                style,
                schema,
                cells,
                mut out,
            } => {
                let header: Vec<_> = schema
                    .fields()
                    .iter()
                    .map(|field| field.name().clone())
                    .collect();
                let is_number: Vec<_> = schema
                    .fields()
                    .iter()
                    .map(|field| field.data_type().is_numeric())
                    .collect();
                writeln!(out, "{}", render(style, &header, &is_number, &cells))
                    .map_err(ArrowError::from)
            }
        }
    }
}

fn texts(batch: &RecordBatch) -> Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<_>>()?;
    let cells = |row| {
        columns
            .iter()
            .map(|column| column.value(row).to_string())
            .collect()
    };
    Ok((0..batch.num_rows()).map(cells).collect())
}
