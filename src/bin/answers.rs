//! What `delia-sql` prints: rows of statements, tables of reports.

use std::io::{self, BufWriter, Write};

use delia::commands::inspect::{Choice, Report};
use delia::commands::sql::{self, SqlTables};
use delia::report::{Format, RowPrinter, Section, print_sections};
use futures::StreamExt;

/// How answers are printed.
#[derive(Clone, Copy)]
pub(crate) struct Printed {
    pub(crate) format: Format,
    pub(crate) choice: Choice,
}

/// Runs statements and prints their rows as they come.
pub(crate) async fn print_rows(
    tables: &SqlTables,
    statements: &str,
    printed: Printed,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout());
    for plan in tables.plan(statements).await? {
        let mut rows = sql::run(plan).await?;
        let mut printer = RowPrinter::new(printed.format, &rows.schema(), &mut out)?;
        while let Some(batch) = rows.next().await {
            printer.push(&batch.map_err(|error| sql::in_words(&error))?)?;
        }
        printer.finish()?;
    }
    Ok(out.flush()?)
}

/// Runs a report and prints its tables.
pub(crate) async fn print_report(
    tables: &SqlTables,
    report: Report,
    printed: Printed,
) -> anyhow::Result<()> {
    let sections = tables.report(report, printed.choice).await?;
    let mut out = BufWriter::new(io::stdout());
    print_sections(printed.format, &report.name(), &sections, &mut out)?;
    Ok(out.flush()?)
}

/// Prints one table.
pub(crate) fn print_section(section: &Section, printed: Printed) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout());
    section.print(printed.format, &mut out)?;
    Ok(out.flush()?)
}
