//! The line editor of the prompt: completion, statements over several lines, history.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use delia::commands::prompt::{Names, is_complete};
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper, Result};

/// Statements that are remembered.
const HISTORY: usize = 1_000;

/// The line editor.
pub(crate) type Typist = Editor<Completion, DefaultHistory>;

/// A line editor that knows these names and remembers what `history` holds.
pub(crate) fn editor(names: Names, history: Option<&Path>) -> Result<Typist> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY)?
        .auto_add_history(true)
        .build();
    let mut editor = Typist::with_config(config)?;
    editor.set_helper(Some(Completion { names }));
    if let Some(file) = history {
        // The first conversation has none.
        drop(editor.load_history(file));
    }
    Ok(editor)
}

/// Where statements are remembered: in the user's folder for such things, as XDG has it.
pub(crate) fn history_file() -> Option<PathBuf> {
    let folder = |variable: &str| {
        let path = PathBuf::from(env::var_os(variable)?);
        path.is_absolute().then_some(path)
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    let folder = state.join("delia");
    // Where it cannot be made, saving says so.
    drop(fs::create_dir_all(&folder));
    Some(folder.join("sql_history"))
}

/// What the editor asks while somebody types.
pub(crate) struct Completion {
    names: Names,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        Ok(self.names.complete(line, cursor))
    }
}

impl Validator for Completion {
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        Ok(match is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Helper for Completion {}
