//! What is typed at the prompt of `delia-sql`: when it is complete, what it asks for, and how a word may go on.

use clap::ValueEnum;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::inspect::Report;

/// What may be typed beside SQL, and what it does.
pub const COMMANDS: [(&str, &str); 5] = [
    ("\\report NAME", "a ready-made report: overview, sources, …"),
    ("\\d", "the tables"),
    ("\\d TABLE", "the columns of a table"),
    ("\\?", "this list"),
    ("\\q", "leave; so does Ctrl-D"),
];

/// Words of SQL that complete.
const KEYWORDS: [&str; 44] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "THEN",
    "UNION",
    "WHERE",
    "WITH",
];

/// What was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Nothing.
    Nothing,
    /// SQL.
    Statements(&'a str),
    /// `\report NAME`
    Report(Report),
    /// `\d`
    Tables,
    /// `\d TABLE`
    Columns(&'a str),
    /// `\?`
    Help,
    /// `\q`
    Quit,
    /// A command that there is not, or a report.
    Unknown(&'a str),
}

/// Whether a text waits for no further line: SQL ends with a semicolon, a command with its line.
pub fn is_complete(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || text.starts_with('\\') {
        return true;
    }
    match Tokenizer::new(&GenericDialect {}, text).tokenize() {
        Ok(tokens) => {
            let mut words = tokens
                .iter()
                .filter(|token| !matches!(token, Token::Whitespace(_)));
            // A comment alone asks for nothing.
            words
                .next_back()
                .is_none_or(|last| *last == Token::SemiColon)
        }
        // A text or a comment that is not closed goes on; what can never be read is complete, so that it is said.
        Err(error) => {
            !error.message.contains("ntermin")
                && !error.message.contains("EOF")
                && text.ends_with(';')
        }
    }
}

/// What a complete text asks for.
pub fn read(text: &str) -> Line<'_> {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim().trim_end_matches(';');
    match (word.trim_end_matches(';'), rest) {
        ("", _) => Line::Nothing,
        ("\\q" | "\\quit", "") => Line::Quit,
        ("\\?" | "\\h" | "\\help", "") => Line::Help,
        ("\\d", "") => Line::Tables,
        ("\\d", table) => Line::Columns(table),
        ("\\report", name) => {
            Report::from_str(name, true).map_or(Line::Unknown(text), Line::Report)
        }
        (command, _) if command.starts_with('\\') => Line::Unknown(text),
        _ => Line::Statements(text),
    }
}

/// The names that complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of tables.
    pub tables: Vec<String>,
    /// Of their columns.
    pub columns: Vec<String>,
    /// Of functions.
    pub functions: Vec<String>,
}

impl Names {
    /// How the word that ends at byte `cursor` may go on: where it begins, and the words it may become.
    pub fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let typed = &line[..cursor];
        let is_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '\\' || c == '?';
        let start = typed.rfind(|c| !is_of_word(c)).map_or(0, |last| {
            last + typed[last..].chars().next().map_or(1, char::len_utf8)
        });
        let (before, word) = typed.split_at(start);
        let begins = |name: &str| {
            name.get(..word.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        };
        let of = |names: &[String]| -> Vec<String> {
            names.iter().filter(|name| begins(name)).cloned().collect()
        };
        let previous = before.split_whitespace().next_back().unwrap_or("");
        let mut words = Vec::new();
        if typed.trim_start().starts_with('\\') {
            match previous {
                "" => {
                    let commands = COMMANDS
                        .iter()
                        .map(|(command, _)| command.split(' ').next().unwrap_or(command));
                    words.extend(
                        commands
                            .filter(|command| begins(command))
                            .map(str::to_owned),
                    );
                    words.dedup();
                }
                "\\report" => {
                    let reports = Report::value_variants().iter().map(|report| report.name());
                    words.extend(reports.filter(|name| begins(name)));
                }
                "\\d" => words.extend(of(&self.tables)),
                _ => {}
            }
        } else if before.ends_with('.') {
            words.extend(of(&self.columns));
        } else if ["FROM", "JOIN", "DESCRIBE"]
            .iter()
            .any(|keyword| previous.eq_ignore_ascii_case(keyword))
        {
            words.extend(of(&self.tables));
        } else if !word.is_empty() {
            words.extend(of(&self.columns));
            words.extend(of(&self.tables));
            words.extend(of(&self.functions).into_iter().map(|name| name + "("));
            let is_lower = word.chars().all(|c| !c.is_uppercase());
            let cased = |keyword: &str| {
                if is_lower {
                    keyword.to_lowercase()
                } else {
                    keyword.to_owned()
                }
            };
            words.extend(
                KEYWORDS
                    .iter()
                    .filter(|keyword| begins(keyword))
                    .map(|keyword| cased(keyword)),
            );
        }
        (start, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_with_a_semicolon_that_is_not_inside_a_text() {
        for complete in [
            "",
            "  \n",
            "SELECT 1;",
            "SELECT 1; -- one\n",
            "SELECT ';'\n;\n",
            "-- nothing",
            "\\d shards",
            "\\report",
            "SELECT 1; SELECT 2;",
        ] {
            assert!(is_complete(complete), "{complete:?}");
        }
        for unfinished in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1 -- ;",
            "SELECT 1 /* ;",
            "SELECT \"a;",
        ] {
            assert!(!is_complete(unfinished), "{unfinished:?}");
        }
    }

    #[test]
    fn commands_are_told_from_sql() {
        assert_eq!(read(" "), Line::Nothing);
        assert_eq!(read("\\q"), Line::Quit);
        assert_eq!(read("\\d"), Line::Tables);
        assert_eq!(read("\\d  shards;"), Line::Columns("shards"));
        assert_eq!(read("\\?"), Line::Help);
        assert_eq!(read("\\report mix"), Line::Report(Report::Mix));
        assert_eq!(
            read("\\report nonsense"),
            Line::Unknown("\\report nonsense")
        );
        assert_eq!(read("\\x"), Line::Unknown("\\x"));
        assert_eq!(read("SELECT 1;\n"), Line::Statements("SELECT 1;"));
    }

    fn names() -> Names {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Names {
            tables: list(&["shards", "sources"]),
            columns: list(&["source", "source_row", "instruction"]),
            functions: list(&["sum", "summarize"]),
        }
    }

    /// Completes at the `|`.
    fn completed(line: &str) -> (usize, Vec<String>) {
        let cursor = line.find('|').expect("a cursor");
        names().complete(&line.replace('|', ""), cursor)
    }

    #[test]
    fn a_word_goes_on_as_what_may_stand_there() {
        assert_eq!(
            completed("SELECT * FROM s|"),
            (14, vec!["shards".to_owned(), "sources".to_owned()])
        );
        assert_eq!(
            completed("SELECT * from |"),
            (14, vec!["shards".to_owned(), "sources".to_owned()])
        );
        assert_eq!(
            completed("SELECT ins|, 1"),
            (7, vec!["instruction".to_owned()])
        );
        assert_eq!(
            completed("SELECT shards.sour|"),
            (14, vec!["source".to_owned(), "source_row".to_owned()])
        );
        assert_eq!(
            completed("SELECT length(inst|"),
            (14, vec!["instruction".to_owned()])
        );
        assert_eq!(completed("sel|").1, ["select"]);
        assert_eq!(completed("SEL|").1, ["SELECT"]);
        assert_eq!(completed("SELECT su|").1, ["sum(", "summarize("]);
        assert_eq!(completed("SELECT |").1, [] as [String; 0]);
        assert_eq!(
            completed("SELECT 'ü' AS sourc|").1,
            ["source", "source_row", "sources"]
        );
    }

    #[test]
    fn commands_complete_too() {
        assert_eq!(completed("\\r|"), (0, vec!["\\report".to_owned()]));
        assert_eq!(
            completed("\\report du|"),
            (8, vec!["duplicates".to_owned()])
        );
        assert_eq!(completed("\\d sh|"), (3, vec!["shards".to_owned()]));
        assert_eq!(completed("\\|").1, ["\\report", "\\d", "\\?", "\\q"]);
    }
}
