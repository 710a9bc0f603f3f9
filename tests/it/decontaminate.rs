use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::delia::{Scratch, source_of, stream};

/// Instruction, input, output.
type Sample = [String; 3];

fn sample(instruction: &str, input: &str, output: &str) -> Sample {
    [instruction, input, output].map(str::to_owned)
}

/// The sources of a build, and what rows may share.
#[derive(Clone, Debug)]
struct Sources {
    task: Vec<Sample>,
    diverse: Vec<Sample>,
    held_out: Vec<Sample>,
    eval: Vec<Sample>,
}

impl Sources {
    fn build(&self, scratch: &Scratch, arguments: &[&str]) {
        for (name, rows) in [
            ("task.jsonl", &self.task),
            ("diverse.jsonl", &self.diverse),
            ("held.jsonl", &self.held_out),
            ("eval.jsonl", &self.eval),
        ] {
            let line = |[instruction, input, output]: &Sample| {
                let row = json!({"instruction": instruction, "input": input, "output": output});
                format!("{row}\n")
            };
            scratch.file(name, rows.iter().map(line).collect::<String>());
        }
        let common = [
            "--task",
            "task.jsonl",
            "--diverse",
            "diverse.jsonl",
            "--held-out",
            "held.jsonl",
            "--eval",
            "eval.jsonl",
            "--ratio",
            "1",
            "--near",
            "off",
            "--held-out-diverse",
            "0",
            "--force",
        ];
        scratch.build(&[&common, arguments].concat()).ok();
    }

    /// The rows measured on, by source and row, in the order of the build.
    fn measured(&self) -> impl Iterator<Item = (&'static str, u64, &Sample)> {
        let of = |name, rows: &'_ Vec<Sample>| (0..rows.len()).map(move |row| (name, row));
        of("held", &self.held_out)
            .chain(of("eval", &self.eval))
            .map(|(name, row)| {
                let rows = if name == "held" {
                    &self.held_out
                } else {
                    &self.eval
                };
                (name, row as u64, &rows[row])
            })
    }
}

/// The reason, the row measured on, and what is shared.
type Evidence = (String, String, u64, String);

/// What went for being measured on, by source and row.
fn dropped(scratch: &Scratch) -> BTreeMap<(String, u64), Evidence> {
    let sql = "SELECT source, source_row, reason, kept_source, kept_row, matched FROM dropped WHERE query = 40";
    let rows = scratch.sql(&["shards", sql, "--format", "json"]).ok();
    let rows: Vec<Value> = serde_json::from_str(&rows).expect("JSON");
    let text = |row: &Value, key: &str| row[key].as_str().expect("text").to_owned();
    let number = |row: &Value, key: &str| row[key].as_u64().expect("a number");
    let found = rows.iter().map(|row| {
        (
            (text(row, "source"), number(row, "source_row")),
            (
                text(row, "reason"),
                text(row, "kept_source"),
                number(row, "kept_row"),
                text(row, "matched"),
            ),
        )
    });
    found.collect()
}

fn words(texts: &[&str]) -> Vec<String> {
    let text = texts.join("\n").replace('ﬁ', "fi").to_lowercase();
    text.split_whitespace().map(str::to_owned).collect()
}

fn prompt(sample: &Sample) -> String {
    words(&[&sample[0], &sample[1]]).join(" ")
}

/// What a task row asks about.
fn subject(sample: &Sample) -> String {
    if sample[1].trim().is_empty() {
        prompt(sample)
    } else {
        words(&[&sample[1]]).join(" ")
    }
}

fn ngrams(sample: &Sample, n: usize) -> Vec<String> {
    let of_text = |text: &String| {
        let words = words(&[text]);
        let windows = words.windows(n).map(|window| window.join(" "));
        windows.collect::<Vec<_>>()
    };
    sample.iter().flat_map(of_text).collect()
}

/// The definition, row by row: what goes, and the task rows that overlap and stay.
fn by_definition(sources: &Sources, n: usize) -> (BTreeMap<(String, u64), Evidence>, u64) {
    let counts = |name: &str, ngram: &String| {
        let rows: Vec<_> = sources
            .measured()
            .filter(|(source, ..)| *source == name)
            .collect();
        let having = rows
            .iter()
            .filter(|(_, _, sample)| ngrams(sample, n).contains(ngram))
            .count();
        having == 1 || 2 * having <= rows.len()
    };
    let shared = |sample: &Sample| {
        ngrams(sample, n).into_iter().find_map(|ngram| {
            let (source, row, _) = sources.measured().find(|(source, _, measured)| {
                ngrams(measured, n).contains(&ngram) && counts(source, &ngram)
            })?;
            Some(("held_out_overlap".to_owned(), source.to_owned(), row, ngram))
        })
    };
    let equal = |asked: fn(&Sample) -> String, sample: &Sample| {
        let (source, row, _) = sources
            .measured()
            .find(|(_, _, measured)| asked(measured) == asked(sample))?;
        let start = asked(sample).chars().take(80).collect();
        Some(("held_out_equal".to_owned(), source.to_owned(), row, start))
    };
    let mut gone = BTreeMap::new();
    let mut n_overlaps = 0;
    for (row, sample) in (0..).zip(&sources.task) {
        match equal(subject, sample) {
            Some(found) => drop(gone.insert(("task".to_owned(), row), found)),
            None => n_overlaps += u64::from(shared(sample).is_some()),
        }
    }
    for (row, sample) in (0..).zip(&sources.diverse) {
        if let Some(found) = equal(prompt, sample).or_else(|| shared(sample)) {
            gone.insert(("diverse".to_owned(), row), found);
        }
    }
    (gone, n_overlaps)
}

/// Samples of few words, so that many share some; outputs end in a word of their own, so that no two are equal.
fn samples(stem: &'static str, n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Sample>> {
    let text = |n: std::ops::Range<usize>| {
        let word = prop::sample::select(vec!["a", "B", "c", "d", "E", "ﬁ", "\n"]);
        prop::collection::vec(word, n).prop_map(|words| words.join(" "))
    };
    let row = (text(1..7), text(0..7), text(0..7));
    prop::collection::vec(row, n).prop_map(move |rows| {
        let rows = rows.into_iter().enumerate();
        rows.map(|(nth, (instruction, input, output))| {
            sample(
                &format!("x{instruction}"),
                input.trim(),
                &format!("{output} {stem}{nth}"),
            )
        })
        .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_is_measured_on_goes(
        mut task in samples("t", 1..12),
        mut diverse in samples("v", 20..120),
        held_out in samples("h", 1..9),
        eval in samples("e", 1..9),
        n in 2_usize..6,
    ) {
        // One row of each kind stays, so that there is a build.
        task.push(sample("Keep", "this", "task"));
        diverse.push(sample("Keep", "that", "row"));
        let sources = Sources { task, diverse, held_out, eval };
        let scratch = Scratch::new();
        sources.build(&scratch, &["--overlap-ngram", &n.to_string()]);
        let (expected, n_overlaps) = by_definition(&sources, n);
        prop_assert_eq!(dropped(&scratch), expected.clone());
        let shards = scratch.path().join("shards");
        prop_assert_eq!(&source_of(&shards, "task")["overlaps"], n_overlaps);
        let n_tasks = stream(&shards).iter().filter(|row| row.is_task()).count();
        let n_gone = expected.keys().filter(|(source, _)| source == "task").count();
        prop_assert_eq!(n_tasks, sources.task.len() - n_gone, "the ratio counts the task rows that stay");
        for name in ["task", "diverse", "held", "eval"] {
            let source = source_of(&shards, name);
            let number = |key: &str| source[key].as_u64().expect("a number");
            prop_assert_eq!(number("rows_in"), number("kept") + number("dropped"));
            prop_assert_eq!(number("kept"), number("used") + number("unused") + number("held_out"));
        }
        // Without n-grams, equal prompts still go.
        sources.build(&scratch, &["--overlap-ngram", "off"]);
        let equal = |(key, evidence): (_, Evidence)| (evidence.0 == "held_out_equal").then_some((key, evidence));
        let expected: BTreeMap<_, _> = expected.into_iter().filter_map(equal).collect();
        prop_assert_eq!(dropped(&scratch), expected);
    }
}

/// Ten words of a sentence that no other row has.
const SENTENCE: &str = "seven grey geese crossed the frozen river before the sun rose";

fn one_each() -> Sources {
    Sources {
        task: vec![sample("Repeat the word", "alpha", "alpha")],
        diverse: vec![sample("Say hello", "", "Hello!")],
        held_out: vec![sample("Repeat the word", "omega", "omega")],
        eval: vec![sample("What did the geese do?", "", SENTENCE)],
    }
}

#[test]
fn the_responses_of_a_benchmark_may_not_be_learned_either() {
    let scratch = Scratch::new();
    let mut sources = one_each();
    let quote = format!("Once, {}!", SENTENCE.to_uppercase());
    sources.diverse.push(sample("Tell a story", "", &quote));
    sources
        .diverse
        .push(sample("WHAT did the\ngeese do?", "", "They slept."));
    sources.build(&scratch, &[]);
    let found = dropped(&scratch);
    let evidence = |row: u64| &found[&("diverse".to_owned(), row)];
    assert_eq!(
        *evidence(1),
        (
            "held_out_overlap".to_owned(),
            "eval".to_owned(),
            0,
            "seven grey geese crossed the frozen river before".to_owned()
        )
    );
    assert_eq!(evidence(2).0, "held_out_equal");
    assert_eq!(evidence(2).3, "what did the geese do?");
    assert_eq!(found.len(), 2);
}

#[test]
fn what_most_held_out_rows_say_is_the_wording_of_the_task() {
    let scratch = Scratch::new();
    let mut sources = one_each();
    let wording = "Say in one word and nothing else what this animal is called:";
    let rows = ["hen", "cow", "pig"].map(|animal| sample(wording, animal, animal));
    sources.held_out.extend(rows);
    sources.diverse.push(sample(wording, "ewe", "ewe"));
    sources.build(&scratch, &[]);
    assert!(dropped(&scratch).is_empty(), "3 of 4 rows say so");
    sources.held_out.truncate(2);
    sources.build(&scratch, &[]);
    assert_eq!(dropped(&scratch).len(), 1, "1 of 2 rows says so");
}

#[test]
fn a_task_row_goes_only_when_what_it_asks_about_is_held_out() {
    let scratch = Scratch::new();
    let mut sources = one_each();
    // The same input under another instruction, and in a benchmark.
    sources
        .task
        .push(sample("Write down the word", "Omega ", "omega"));
    sources
        .task
        .push(sample("What did the geese do?", "", "Nothing."));
    // Many words of it.
    sources
        .task
        .push(sample("Repeat the word", SENTENCE, "no word"));
    // An exact copy of one that goes.
    sources
        .task
        .push(sample("Write down the word", "Omega ", "omega"));
    sources.build(&scratch, &[]);
    let rows: BTreeSet<_> = dropped(&scratch).into_keys().collect();
    let expected = [1, 2, 4].map(|row| ("task".to_owned(), row));
    assert_eq!(rows, BTreeSet::from(expected));
    let shards = scratch.path().join("shards");
    assert_eq!(source_of(&shards, "task")["overlaps"], 1);
    let arguments = [
        "--force",
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--eval",
        "eval.jsonl",
    ];
    let printed = scratch
        .build(&[&arguments[..], &["--ratio", "1"]].concat())
        .ok();
    assert!(
        printed.contains(
            "note    task rows of `task` that share words with rows measured on and ask about something else: 1, kept"
        ),
        "{printed}"
    );
}

#[test]
fn a_task_that_is_held_out_whole_is_no_task() {
    let scratch = Scratch::new();
    scratch.small_sources(3, 30);
    scratch.file("held.jsonl", crate::delia::samples("task", 5));
    let arguments = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--held-out",
        "held.jsonl",
    ];
    scratch.build(&arguments).fails(
        1,
        &[
            "no task sample is left: 3 were read",
            "`--held-out` or `--eval`",
        ],
    );
}

#[test]
fn a_benchmark_is_compared_with_and_used_for_nothing_else() {
    let scratch = Scratch::new();
    scratch.small_sources(4, 60);
    // No response at all, a response that is a number, one that is a list.
    scratch.file(
        "prompts.jsonl",
        concat!(
            r#"{"key": 1, "prompt": "Repeat the diverse word diverse-3"}"#,
            "\n",
            r#"{"prompt": "Repeat the diverse word diverse-5", "answer": 5}"#,
            "\n",
            r#"{"prompt": "Repeat the diverse word diverse-7", "answer": ["a"]}"#,
            "\n"
        ),
    );
    scratch.file("list.csv", "question\nRepeat the diverse word diverse-9\n");
    scratch.file(
        "chat.json",
        r#"[{"messages": [{"role": "user", "content": "Repeat the diverse word diverse-11"}]}]"#,
    );
    let arguments = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--eval",
        "prompts.jsonl",
        "list.csv",
        "chat.json",
        "--ratio",
        "10",
    ];
    let printed = scratch.build(&arguments).ok();
    assert!(printed.contains("held out equal"), "{printed}");
    assert!(printed.contains("no task rows are held out"), "{printed}");
    let rows: Vec<_> = dropped(&scratch).into_keys().map(|(_, row)| row).collect();
    assert_eq!(rows, [3, 5, 7, 9, 11]);
    let shards = scratch.path().join("shards");
    assert!(
        stream(&shards)
            .iter()
            .all(|row| ["task", "diverse"].contains(&row.source.as_str()))
    );
    let sql = "SELECT DISTINCT source FROM held_out";
    assert_eq!(
        scratch.sql(&["shards", sql, "--format", "csv"]).ok(),
        "source\ndiverse\n"
    );
    let source = source_of(&shards, "prompts");
    let counts = ["rows_in", "kept", "dropped", "used", "unused", "held_out"];
    assert_eq!(
        counts.map(|key| source[key].as_u64()),
        [3, 3, 0, 0, 3, 0].map(Some)
    );
    assert_eq!(source["kind"], "eval");
    // The frozen recipe says it all: built again from it, nothing changes.
    let recipe = std::fs::read_to_string(shards.join("recipe.toml")).expect("a recipe");
    assert!(
        recipe.contains("[[build.eval]]") && recipe.contains("overlap-ngram = 8"),
        "{recipe}"
    );
    let again = ["--recipe", "shards/recipe.toml"];
    assert!(scratch.build(&again).ok().contains("up to date"));
    scratch
        .build(&["--overlap-ngram", "0"])
        .fails(2, &["neither `off` nor a number of words"]);
    scratch.build(&["--eval", "procedural"]).fails(
        2,
        &[
            "eval: `procedural` does not say how many rows",
            "procedural@500",
        ],
    );
    scratch
        .build(&["--eval", "gone.jsonl"])
        .fails(1, &["could not read `gone.jsonl`"]);
}
