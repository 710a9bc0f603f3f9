//! `delia-sql DIR` on a terminal: statements and commands one after the other, with history and completion.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use delia::commands::prompt::{COMMANDS, Line, read};
use delia::commands::sql::SqlTables;
use rustyline::error::ReadlineError;

use crate::answers::{Printed, print_report, print_rows, print_section};
use crate::talk::fail;
use crate::typist;

/// Reads and answers until Ctrl-D or `\q`; an error ends an answer, never the conversation.
pub(crate) async fn converse(
    tables: &SqlTables,
    printed: Printed,
    quiet: bool,
) -> anyhow::Result<()> {
    let mut history = typist::history_file();
    let mut editor = typist::editor(tables.names().await, history.as_deref())?;
    if !quiet {
        eprintln!("\\? lists commands; a statement ends with `;`");
    }
    loop {
        let typed = match editor.readline("delia> ") {
            Ok(typed) => typed,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        if let Some(file) = &history
            && let Err(error) = editor.append_history(file)
        {
            eprintln!("note: no history is kept in `{}`: {error}", file.display());
            history = None;
        }
        let line = read(&typed);
        if line == Line::Quit {
            break;
        }
        let started = Instant::now();
        let answered = tokio::select! {
            answered = answer(tables, line, printed) => answered,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        match answered {
            Err(error) => {
                let _: ExitCode = fail(&error);
            }
            Ok(()) if matches!(line, Line::Statements(_)) && !quiet => {
                eprintln!("{:.2} s\n", started.elapsed().as_secs_f64());
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn answer(tables: &SqlTables, line: Line<'_>, printed: Printed) -> anyhow::Result<()> {
    match line {
        Line::Nothing | Line::Quit => Ok(()),
        Line::Statements(sql) => print_rows(tables, sql, printed).await,
        Line::Report(report) => print_report(tables, report, printed).await,
        Line::Tables => print_section(&tables.tables().await?, printed),
        Line::Columns(table) => print_section(&tables.columns(table).await?, printed),
        Line::Help => {
            let mut out = io::stdout().lock();
            for (command, meaning) in COMMANDS {
                writeln!(out, "  {command:<14}{meaning}")?;
            }
            Ok(())
        }
        Line::Unknown(text) => Err(anyhow::anyhow!("`{text}` is no command; `\\?` lists them")),
    }
}
