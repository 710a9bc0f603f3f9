//! What `--report` may be asked for, and what `--help` says of it.

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use delia::commands::inspect::Report;

/// A report on the terminal, or the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Ready(Report),
    Html,
}

/// The page's name.
const HTML: &str = "html";

/// Every report by its name, and the page that holds them all.
pub(crate) fn parser() -> impl TypedValueParser<Value = Asked> {
    let page =
        PossibleValue::new(HTML).help("One page with all of them, with charts; it needs `--out`");
    let reports = Report::value_variants()
        .iter()
        .filter_map(Report::to_possible_value);
    PossibleValuesParser::new(reports.chain([page]))
        .map(|name| Report::from_str(&name, false).map_or(Asked::Html, Asked::Ready))
}

pub(crate) const HELP: &str = "\
Functions beside the engine's:
  summarize('shards')               a row for every column: type, nulls, distinct values, quantiles, ends
  random_rows('shards', 10[, seed]) rows at random, the same on every run; TABLESAMPLE is refused
  histogram(length(output), 20)     an aggregate: a list of bins {low, high, rows}; unnest(…) makes rows of it
  count_words(text)                 words between white space
  shingles(text, 'word:3'), jaccard(a, b)
                                    a text as the set of its pieces, and what two sets have in common
  seeded_hash(sample_id, 'purpose', 0, seed)
                                    a number that looks random and is always the same

Examples:
  delia-sql shards \"SELECT kind, count(*) FROM shards GROUP BY kind\"
  delia-sql shards \"SELECT unnest(unnest(histogram(length(output), 20))) FROM shards\"
  delia-sql shards --report duplicates
  delia-sql shards --report html --out report.html
  delia-sql shards                  a prompt, with completion; \\? lists its commands";
