use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use delia::config::{DedupeOn, NearConfig, Order, Shingle};
use delia::queries::{self, Bound, Query};
use delia::sample::Kind;

#[test]
fn the_folder_lists_the_pipeline() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let list = |folder: &Path, prefix: &str| -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| {
                format!(
                    "{prefix}{}",
                    entry.expect("an entry").file_name().to_string_lossy()
                )
            })
            .filter(|name| name.ends_with(".sql"))
            .collect();
        names.sort();
        names
    };
    let mut files = list(&folder, "");
    files.extend(list(&folder.join("inspect"), "inspect/"));
    let known: Vec<_> = Query::ALL.iter().map(|query| query.file()).collect();
    assert_eq!(files, known);
}

/// Every query with values for its parameters.
fn all_bound() -> Vec<Bound> {
    let near = NearConfig::new(None, None, None, None, None).expect("the defaults");
    vec![
        queries::normalize(0, Kind::Task, false),
        queries::rejects(),
        queries::dedupe_exact(),
        queries::shingles(DedupeOn::Prompt, Shingle::Words(3)),
        queries::frequent_shingles(1, 8, 1),
        queries::near_keys(&near, 0.8, Vec::new(), 0),
        queries::dedupe_near(0.8),
        queries::near_duplicates(),
        queries::hold_out(0),
        queries::diversify(0),
        queries::interleave(Order::Strict, "1", 0),
        queries::shards(0),
        queries::dropped(),
        queries::held_out(Kind::Task),
        queries::sources(),
        queries::marks(),
        queries::dropped_by_reason(),
        queries::named_shards(1),
    ]
}

#[test]
fn every_parameter_in_a_query_is_bound_and_no_other() {
    let bound = all_bound();
    assert_eq!(
        bound.iter().map(|bound| bound.query).collect::<Vec<_>>(),
        Query::ALL
    );
    for Bound { query, parameters } in bound {
        let code: Vec<_> = query
            .sql()
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        let used: BTreeSet<String> = code
            .join("\n")
            .split('$')
            .skip(1)
            .map(|rest| {
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect()
            })
            .collect();
        let names: BTreeSet<String> = parameters
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        assert_eq!(used, names, "{}", query.file());
    }
}

#[test]
fn every_query_opens_with_what_comes_in_and_what_goes_out() {
    for query in Query::ALL {
        let header: Vec<_> = query
            .sql()
            .lines()
            .take_while(|line| line.starts_with("--"))
            .collect();
        for part in ["-- in   ", "-- out  "] {
            assert!(
                header.iter().any(|line| line.starts_with(part)),
                "{}: no `{part}`",
                query.file()
            );
        }
        let parameters = query
            .sql()
            .lines()
            .any(|line| !line.starts_with("--") && line.contains('$'));
        assert_eq!(
            parameters,
            header.iter().any(|line| line.starts_with("-- with ")),
            "{}",
            query.file()
        );
        let last = query
            .sql()
            .lines()
            .rev()
            .find(|line| line.contains("ORDER BY"));
        assert!(
            last.is_some_and(|line| line.starts_with("ORDER BY") && line.ends_with(';')),
            "{}",
            query.file()
        );
    }
}
