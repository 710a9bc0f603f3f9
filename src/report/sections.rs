//! A report of several tables, printed.

use std::io::Write;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::Result;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::rows::{Format, RowPrinter};

/// A table of a report.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name, for programs.
    pub name: &'static str,
    /// Its name, for people.
    pub heading: &'static str,
    /// The schema of its rows.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Section {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Prints the rows, without a heading.
    ///
    /// # Errors
    /// When they cannot be formatted or written.
    pub fn print(&self, format: Format, out: &mut dyn Write) -> Result<()> {
        let mut printer = RowPrinter::new(format, &self.schema, out)?;
        for batch in &self.batches {
            printer.push(batch)?;
        }
        printer.finish()
    }

    /// The cells, row by row; a null is none.
    ///
    /// # Errors
    /// When one cannot be formatted.
    pub fn cells(&self) -> Result<Vec<Vec<Option<String>>>> {
        let mut cells = Vec::new();
        for batch in &self.batches {
            let options = FormatOptions::default();
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| {
                    ArrayFormatter::try_new(column, &options).map(|shown| (column, shown))
                })
                .collect::<Result<_>>()?;
            for row in 0..batch.num_rows() {
                let cell = |(column, shown): &(&ArrayRef, ArrayFormatter<'_>)| {
                    column.is_valid(row).then(|| shown.value(row).to_string())
                };
                cells.push(columns.iter().map(cell).collect());
            }
        }
        Ok(cells)
    }
}

/// Prints the tables of a report: below each other with their headings, or as one JSON document.
///
/// CSV has no headings: an empty line stands between two tables.
///
/// # Errors
/// When they cannot be formatted or written.
pub fn print_sections(
    format: Format,
    report: &str,
    sections: &[Section],
    out: &mut dyn Write,
) -> Result<()> {
    if format == Format::Json {
        write!(out, "{{\"report\":\"{report}\"")?;
        for section in sections {
            write!(out, ",\"{}\":", section.name)?;
            let mut rows = Vec::new();
            section.print(format, &mut rows)?;
            out.write_all(rows.trim_ascii_end())?;
        }
        return Ok(writeln!(out, "}}")?);
    }
    for (nth, section) in sections.iter().enumerate() {
        if nth > 0 {
            writeln!(out)?;
        }
        match format {
            Format::Table => writeln!(out, "{}\n", section.heading)?,
            Format::Markdown => writeln!(out, "## {}\n", section.heading)?,
            Format::Csv | Format::Json => {}
        }
        if section.n_rows() == 0 && format != Format::Csv {
            writeln!(out, "none")?;
        } else {
            section.print(format, out)?;
        }
    }
    Ok(())
}
