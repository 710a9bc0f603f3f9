use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::delia::{Row, Scratch, hashes, manifest, skipped, source_of, stream};
use crate::fake_model::{self, completion, fault, prompt_of};
use crate::server::{Asked, Reply, Server};

fn tasks(rows: &[Row]) -> Vec<&Row> {
    rows.iter().filter(|row| row.is_task()).collect()
}

fn built(scratch: &Scratch, arguments: &[&str]) -> Vec<Row> {
    scratch.build(&[arguments, &["--force"]].concat()).ok();
    stream(&scratch.path().join("shards"))
}

/// The texts of the bundled task, by row.
fn bundled() -> Vec<Value> {
    let text = include_str!("../../data/task/formatted_text.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn every_task_row_stands_in_other_words_and_asks_for_the_same() {
    let scratch = Scratch::new();
    let said = scratch.build(&["--ratio", "2"]).ok();
    assert!(
        said.contains("reword  100 of 100 task rows, by rules, in 2"),
        "{said}"
    );
    let rows = stream(&scratch.path().join("shards"));
    let (tasks, bundled) = (tasks(&rows), bundled());
    assert_eq!((rows.len(), tasks.len()), (300, 100));
    let mut instructions = BTreeSet::new();
    for row in &tasks {
        let original = &bundled[row.source_row as usize];
        assert_eq!(row.input, original["input"]);
        assert_eq!(row.output, original["output"]);
        assert_ne!(row.instruction, original["instruction"]);
        assert_eq!(
            row.instruction.matches("<sep>").count(),
            1,
            "{}",
            row.instruction
        );
        for giveaway in ["JSON", "json", "{", "}", "thought"] {
            assert!(!row.instruction.contains(giveaway), "{}", row.instruction);
        }
        assert!(row.direction.is_some() && row.repeat == 0);
        instructions.insert(&row.instruction);
    }
    assert_eq!(
        instructions.len(),
        100,
        "each sample has a wording of its own"
    );
    assert!(
        rows.iter()
            .all(|row| row.is_task() || row.direction.is_none())
    );
    let rewording = &manifest(&scratch.path().join("shards"))["rewording"];
    assert_eq!(
        (&rewording["method"], &rewording["original_rows"]),
        (&json!("rules"), &json!(0))
    );
    let directions: BTreeMap<String, u64> =
        serde_json::from_value(rewording["directions"].clone()).expect("counts");
    assert_eq!(directions.values().sum::<u64>(), 100);
    assert!(directions.len() >= 18, "{directions:?}");
    let spread = |of: &str, what: &str| rewording[of][what].as_f64().expect("a number");
    assert_eq!(spread("original", "mean_distance"), 0.0);
    assert!(spread("stream", "mean_distance") > 0.2, "{rewording}");
    assert!(
        spread("stream", "distinct_2") > 5.0 * spread("original", "distinct_2"),
        "{rewording}"
    );
}

#[test]
fn variants_are_task_rows_that_the_ratio_counts() {
    let scratch = Scratch::new();
    scratch.small_sources(7, 400);
    let sources = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--ratio",
        "5",
    ];
    let more = ["--variants", "3", "--keep-original", "--order", "strict"];
    let rows = built(&scratch, &[&sources[..], &more].concat());
    let found = tasks(&rows);
    assert_eq!((found.len(), rows.len()), (28, 28 * 6));
    let mut by_row: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
    for row in &found {
        by_row.entry(row.source_row).or_default().push(row);
    }
    for of_row in by_row.values() {
        let texts: BTreeSet<_> = of_row.iter().map(|row| &row.instruction).collect();
        let directions: BTreeSet<_> = of_row.iter().map(|row| &row.direction).collect();
        assert_eq!((of_row.len(), texts.len(), directions.len()), (4, 4, 4));
        let original = of_row
            .iter()
            .find(|row| row.direction.is_none())
            .expect("the original");
        assert_eq!(original.instruction, "Repeat the task word");
    }
    // Every one is followed by its own draws.
    for (nth, of_task) in rows.chunks(6).enumerate() {
        assert!(of_task[0].is_task() && of_task[1..].iter().all(|row| !row.is_task()));
        assert!(of_task.iter().all(|row| row.task_row == Some(nth as u64)));
    }
    let out = scratch.path().join("shards");
    let source = source_of(&out, "task");
    let counts = ["rows_in", "kept", "used", "unused", "repeats", "variants"];
    assert_eq!(
        counts.map(|key| source[key].as_u64()),
        [7, 7, 7, 0, 0, 21].map(Some)
    );
    assert_eq!(manifest(&out)["ratio"]["achieved"], 5.0);
    // Passes repeat the same wordings.
    let twice = built(
        &scratch,
        &[&sources[..], &["--variants", "2", "--passes", "2"]].concat(),
    );
    assert_eq!(
        tasks(&twice).iter().filter(|row| row.repeat == 1).count(),
        14
    );
    let source = source_of(&out, "task");
    assert_eq!(
        [&source["used"], &source["repeats"], &source["variants"]],
        [7, 14, 7]
    );
}

#[test]
fn off_is_the_original_wording_and_an_anchor_ends_every_instruction() {
    let scratch = Scratch::new();
    let sources = ["--ratio", "1", "--reword", "off"];
    let rows = built(&scratch, &sources);
    for row in tasks(&rows) {
        assert_eq!(
            (row.instruction.as_str(), &row.direction),
            (bundled()[0]["instruction"].as_str().expect("text"), &None)
        );
    }
    let anchored = built(
        &scratch,
        &[&sources[..], &["--anchor", "In the <sep> style."]].concat(),
    );
    for row in tasks(&anchored) {
        assert!(
            row.instruction.ends_with("format.\nIn the <sep> style."),
            "{}",
            row.instruction
        );
    }
    let both = built(&scratch, &["--ratio", "1", "--anchor", "ANCHOR"]);
    assert!(
        tasks(&both)
            .iter()
            .all(|row| row.instruction.ends_with("\nANCHOR") && row.direction.is_some())
    );
    assert!(
        both.iter()
            .all(|row| row.is_task() || !row.instruction.contains("ANCHOR"))
    );
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let scratch = Scratch::new();
    for (arguments, problem) in [
        (
            &["--reword", "off", "--variants", "2"][..],
            "`--reword off` makes none",
        ),
        (&["--variants", "0"], "between 1 and 10000"),
        (&["--split-prompt", "("], "no regular expression"),
        (&["--anchor", ""], "can be seen"),
        (&["--leave-out-task", "--ratio", "0"], "draws nothing"),
        (
            &["--leave-out-task", "--ratio", "0.001"],
            "too small to draw",
        ),
        (
            &["--leave-out-task", "--order", "staged"],
            "leaves them out",
        ),
        (&["--reword", "llm"], "no server is named"),
    ] {
        scratch.build(arguments).fails(2, &[problem]);
    }
}

#[test]
fn of_a_prompt_only_what_all_share_is_reworded() {
    let scratch = Scratch::new();
    let prompts: String = (0..12)
        .map(|nth| {
            let prompt = format!("Translate the text into French.\nKeep its tone.\n\nText: house {nth}\nboat\nAnswer:");
            format!("{}\n", json!({"prompt": prompt, "response": format!("maison {nth}")}))
        })
        .collect();
    scratch.file("task.jsonl", prompts);
    let sources = [
        "--task",
        "task.jsonl",
        "--ratio",
        "1",
        "--diverse",
        "procedural@200",
    ];
    let said = scratch.build(&sources).ok();
    assert!(
        said.contains("`task`: what 12 prompts without an input have in common is reworded"),
        "{said}"
    );
    assert!(
        said.contains("`Translate the text into French.⏎Keep its tone.`"),
        "{said}"
    );
    let tail = |row: &Row| format!("\n\nText: house {}\nboat\nAnswer:", row.source_row);
    let rows = stream(&scratch.path().join("shards"));
    for row in tasks(&rows) {
        assert!(row.instruction.ends_with(&tail(row)), "{}", row.instruction);
        assert!(row.direction.is_some() && row.input.is_empty());
        assert!(
            !row.instruction
                .starts_with("Translate the text into French.\nKeep its tone.\n")
        );
    }
    // Of what a pattern finds nothing is touched, and what it does not find is.
    let pattern = "(?s)\n\nText: (.*)Answer:";
    let said = scratch
        .build(&[&sources[..], &["--split-prompt", pattern, "--force"]].concat())
        .ok();
    assert!(
        said.contains("does not find is reworded, such as: `Translate"),
        "{said}"
    );
    for row in tasks(&stream(&scratch.path().join("shards"))) {
        assert!(
            row.instruction
                .contains(&format!("house {}\nboat\nAnswer:", row.source_row)),
            "{}",
            row.instruction
        );
    }
    // Of a whole prompt it is the first paragraph.
    for row in tasks(&built(
        &scratch,
        &[&sources[..], &["--split-prompt", "none"]].concat(),
    )) {
        assert!(row.instruction.ends_with(&tail(row)), "{}", row.instruction);
    }
}

#[test]
fn what_an_instruction_announces_is_left_alone() {
    let scratch = Scratch::new();
    let data = [
        "He don't like it.",
        "Once upon a time...",
        "Judge it. Say why!",
    ];
    let rows = data.map(|data| {
        let prompt = format!("Correct the grammar of the sentence: {data}");
        format!("{}\n", json!({"instruction": prompt, "output": "ok"}))
    });
    scratch.file("task.jsonl", rows.concat());
    let common = [
        "--task",
        "task.jsonl",
        "--ratio",
        "1",
        "--split-prompt",
        "none",
    ];
    let rows = built(&scratch, &[&common[..], &["--variants", "40"]].concat());
    for row in tasks(&rows) {
        let data = data[row.source_row as usize];
        assert!(
            row.instruction.ends_with(&format!(": {data}")),
            "{}",
            row.instruction
        );
    }
    assert_eq!(tasks(&rows).len(), 120);
}

#[test]
fn samples_that_meet_in_a_wording_stand_once_and_threads_change_nothing() {
    let scratch = Scratch::new();
    let rows = ["Judge it.", "Judge it"].map(|instruction| {
        format!(
            "{}\n",
            json!({"instruction": instruction, "input": "a", "output": "b"})
        )
    });
    scratch.file("task.jsonl", rows.concat());
    let common = [
        "--task",
        "task.jsonl",
        "--ratio",
        "2",
        "--variants",
        "60",
        "--keep-original",
    ];
    let rows = built(&scratch, &common);
    let texts: BTreeSet<_> = tasks(&rows)
        .iter()
        .map(|row| row.instruction.clone())
        .collect();
    assert_eq!(texts.len(), tasks(&rows).len());
    let missing = manifest(&scratch.path().join("shards"))["rewording"]["missing"].as_u64();
    assert_eq!(tasks(&rows).len() as u64, 122 - missing.expect("a count"));
    scratch
        .build(
            &[
                &common[..],
                &["--threads", "1", "--batch-rows", "7", "--out", "one"],
            ]
            .concat(),
        )
        .ok();
    assert_eq!(
        hashes(&scratch.path().join("one")),
        hashes(&scratch.path().join("shards"))
    );
}

#[test]
fn what_cannot_be_reworded_stands_as_it_is() {
    let scratch = Scratch::new();
    let rows = [
        json!({"instruction": "", "input": "2 + 2", "output": "4"}),
        json!({"instruction": "Übersetze den Satz.", "input": "Ja", "output": "Yes"}),
        json!({"instruction": "Add the numbers.", "input": "2, 2", "output": "4"}),
    ];
    scratch.file("task.jsonl", rows.map(|row| format!("{row}\n")).concat());
    let rows = built(
        &scratch,
        &["--task", "task.jsonl", "--ratio", "4", "--variants", "30"],
    );
    let mut counts = HashMap::new();
    for row in tasks(&rows) {
        *counts.entry(row.source_row).or_insert(0) += 1;
        match row.source_row {
            0 => assert_eq!((row.instruction.as_str(), &row.direction), ("", &None)),
            1 => {
                assert!(row.instruction.contains("Übersetze den Satz.") && row.direction.is_some())
            }
            _ => assert!(row.direction.is_some()),
        }
    }
    assert_eq!((counts[&0], counts[&2]), (1, 30));
    assert!(counts[&1] > 5 && counts[&1] < 30, "{counts:?}");
    let missing = &manifest(&scratch.path().join("shards"))["rewording"]["missing"];
    assert_eq!(*missing, json!(30 + 30 - counts[&1]));
    // The ratio counts the rows that are there.
    assert_eq!(rows.len(), 5 * tasks(&rows).len());
}

#[test]
fn the_draws_are_the_same_without_the_task() {
    let scratch = Scratch::new();
    scratch.small_sources(9, 300);
    for order in ["shuffled", "strict", "stratified"] {
        let common = [
            "--task",
            "task.jsonl",
            "--diverse",
            "diverse.jsonl",
            "--ratio",
            "7.5",
            "--order",
            order,
        ];
        let with = built(&scratch, &common);
        let without = built(&scratch, &[&common[..], &["--leave-out-task"]].concat());
        assert!(
            without
                .iter()
                .all(|row| !row.is_task() && row.task_row.is_none()),
            "{order}"
        );
        let texts = |rows: &[Row]| -> Vec<String> {
            let rows = rows.iter().filter(|row| !row.is_task());
            let mut texts: Vec<_> = rows.map(|row| row.output.clone()).collect();
            // How they are dealt to batches depends on how many rows there are.
            if order == "stratified" {
                texts.sort();
            }
            texts
        };
        assert_eq!(texts(&with), texts(&without), "{order}");
        let out = scratch.path().join("shards");
        let source = source_of(&out, "task");
        assert_eq!(
            [&source["kept"], &source["used"], &source["unused"]],
            [9, 0, 9]
        );
        assert_eq!(manifest(&out)["plan"]["task_rows"], 0);
    }
}

/// What a model makes of a request for a wording: a good one, or what breaks a rule.
fn rewording(asked: &Asked) -> Reply {
    let prompt = prompt_of(asked);
    let instruction = prompt
        .split("\n---\n")
        .nth(1)
        .expect("an instruction")
        .to_owned();
    // The seed of the request counts too.
    let hash = blake3::hash(&asked.body);
    let hash = u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
    let wording = format!("Number {} to do: {instruction}", u32::from(hash) + 100_000);
    completion(&match hash % 8 {
        0 => wording.replace("<sep>", ""),
        1 => format!("{wording} Answer as {{\"thought\": …}}."),
        2 => "yes".to_owned(),
        3 => "Sure, here it is!".to_owned(),
        _ => format!("\"{wording}\""),
    })
}

#[test]
fn a_language_model_rewords_and_our_rules_take_the_place_of_what_breaks_them() {
    let scratch = Scratch::new();
    let calm = Server::start(|asked, _| rewording(asked));
    let arguments = |server: &Server, more: &[&str]| -> Vec<String> {
        let base = server.url("v1");
        let usual = [
            "--ratio",
            "1",
            "--reword",
            "llm",
            "--variants",
            "2",
            "--llm-model",
            "m",
            "--endpoint",
            &base,
        ];
        usual
            .iter()
            .chain(more)
            .map(|argument| (*argument).to_owned())
            .collect()
    };
    let run = |server: &Server, more: &[&str]| {
        let arguments = arguments(server, more);
        scratch.build(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let said = run(&calm, &["--cache", "cache"]).ok();
    assert!(said.contains("rewording: 200 requests"), "{said}");
    for why in [
        "a special token lost or added",
        "a brace lost or added",
        "words around the wording",
        "no word in common",
        "are by rules in their place",
    ] {
        assert!(said.contains(why), "{why}: {said}");
    }
    let rows = stream(&scratch.path().join("shards"));
    let rows = tasks(&rows);
    assert_eq!(rows.len(), 200);
    let by_model = rows
        .iter()
        .filter(|row| row.instruction.starts_with("Number "))
        .count();
    assert!(by_model > 60 && by_model < 150, "{by_model}");
    for row in &rows {
        assert!(row.direction.is_some());
        assert_eq!(
            row.instruction.matches("<sep>").count(),
            1,
            "{}",
            row.instruction
        );
        assert!(
            !row.instruction.contains(['{', '}', '"']),
            "{}",
            row.instruction
        );
    }
    let replaced = manifest(&scratch.path().join("shards"))["rewording"]["replaced"].clone();
    let replaced: BTreeMap<String, u64> = serde_json::from_value(replaced).expect("counts");
    assert_eq!(replaced.values().sum::<u64>() as usize, 200 - by_model);
    // From the recipe nobody is asked again, and the rows do not depend on what goes wrong on the way.
    let n_asked = calm.asked().len();
    scratch
        .build(&[
            "--recipe",
            "shards/recipe.toml",
            "--cache",
            "cache",
            "--out",
            "again",
        ])
        .ok();
    assert_eq!((n_asked, calm.asked().len()), (200, 200));
    let stormy = Server::start(|asked, nth| {
        thread::sleep(Duration::from_millis((nth * 7 % 5) as u64));
        match nth % 5 {
            1 | 3 => fault(nth / 2, &rewording(asked)),
            _ => rewording(asked),
        }
    });
    run(
        &stormy,
        &[
            "--cache",
            "other",
            "--out",
            "stormy",
            "--llm-timeout",
            "1",
            "--concurrency",
            "32",
        ],
    )
    .ok();
    let shards = |name: &str| fake_model::shards(&scratch.path().join(name));
    assert_eq!(shards("again"), shards("shards"));
    assert_eq!(shards("stormy"), shards("shards"));
    // A budget that ends too early ends the build, and a larger one goes on.
    let poor = [
        "--cache",
        "third",
        "--out",
        "poor",
        "--answer-tokens",
        "100",
        "--budget-tokens",
        "9000",
    ];
    run(&calm, &poor).fails(
        3,
        &[
            "of 200 wordings could be had: the budget is spent",
            "with a larger budget",
        ],
    );
    assert_eq!(stream(&scratch.path().join("poor")), []);
    // How the model is spoken to is no request for a dry run.
    let n_asked = calm.asked().len();
    run(&calm, &["--cache", "fourth", "--dry-run"]).ok();
    assert_eq!(calm.asked().len(), n_asked);
}

#[test]
fn budgets_hold_for_samples_and_wordings_together() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, nth| match prompt_of(asked).contains("\n---\n") {
        true => rewording(asked),
        false => fake_model::model(asked, nth),
    });
    let base = server.url("v1");
    let common = [
        "--ratio",
        "1",
        "--reword",
        "llm",
        "--diverse",
        "llm:40",
        "--llm-model",
        "m",
        "--endpoint",
        &base,
        "--cache",
        "cache",
        "--answer-tokens",
        "100",
    ];
    // Sampling takes ten requests of 500 tokens, rewording a hundred.
    let budget = ["--budget-tokens", "20000"];
    scratch
        .build(&[&common[..], &budget].concat())
        .fails(3, &["wordings could be had"]);
    assert!(
        server.asked().len() * 500 <= 20_000,
        "{}",
        server.asked().len()
    );
    scratch.build(&common).ok();
    assert_eq!(server.asked().len(), 110, "each was asked once");
}

#[test]
fn reflection_betters_instruction_and_response_and_keeps_their_form() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, nth| {
        let prompt = prompt_of(asked);
        let part = |from: &str, to: &str| {
            let rest = prompt.split(from).nth(1).expect("a part");
            rest.split(to).next().expect("its end").to_owned()
        };
        let response = part("Response:\n", "\n\nFirst judge");
        completion(
            &match prompt.contains("the better instruction and nothing else") {
                _ if nth % 5 == 0 => "No.".to_owned(),
                true => format!("Think hard. {}", part("Instruction:\n", "\n\nMaterial:")),
                false => {
                    response.replace("{\"thought\": \"", "{\"thought\": \"Looked at closely. ")
                }
            },
        )
    });
    let base = server.url("v1");
    let arguments = [
        "--recipe",
        "reflection",
        "--endpoint",
        &base,
        "--llm-model",
        "m",
        "--cache",
        "cache",
    ];
    let said = scratch.build(&arguments).ok();
    assert!(said.contains("reflection: 200 requests"), "{said}");
    assert!(said.contains("a response with other keys"), "{said}");
    let rows = stream(&scratch.path().join("shards"));
    assert_eq!(rows.len(), 100);
    let (mut n_instructions, mut n_responses) = (0, 0);
    for row in &rows {
        let original = &bundled()[row.source_row as usize];
        n_instructions += usize::from(row.instruction.starts_with("Think hard. "));
        n_responses += usize::from(row.output.contains("Looked at closely. "));
        let output: Value = serde_json::from_str(&row.output).expect("JSON");
        assert!(output["thought"].is_string() && output["hallucination"].is_string());
        let is_same =
            row.instruction == original["instruction"] && row.output == original["output"];
        assert_eq!(row.direction.is_none(), is_same);
        assert_eq!(row.input, original["input"]);
    }
    assert!(
        (70..=90).contains(&n_instructions) && (70..=90).contains(&n_responses),
        "{n_instructions} {n_responses}"
    );
}

#[test]
fn real_tasks_are_split_and_reworded() {
    let Some(folder) = std::env::var_os("DELIA_REAL_DATA") else {
        return skipped(
            "real_tasks_are_split_and_reworded",
            "`DELIA_REAL_DATA` names no folder",
        );
    };
    let folder = std::path::PathBuf::from(folder).join("task");
    let scratch = Scratch::new();
    for (file, same) in [
        (
            "halu_cot_json/test_Halu_CoT_JSON.jsonl",
            "Role and Goal: You are an advanced AI",
        ),
        (
            "wmt21_en_is/dev-en-is.jsonl",
            "This text is in English and needs to be translated",
        ),
    ] {
        let path = folder.join(file);
        let path = path.to_string_lossy();
        let said = scratch
            .build(&[
                "--task",
                &path,
                "--ratio",
                "0",
                "--force",
                "--keep-original",
            ])
            .ok();
        assert!(
            said.contains("have in common is reworded") && said.contains(same),
            "{said}"
        );
        let rows = stream(&scratch.path().join("shards"));
        let (reworded, originals): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| row.direction.is_some());
        assert_eq!(reworded.len(), originals.len());
        let originals: BTreeMap<_, _> = originals.iter().map(|row| (row.source_row, row)).collect();
        for row in reworded {
            let original = originals[&row.source_row];
            assert_ne!(row.instruction, original.instruction);
            assert_eq!(
                (&row.input, &row.output),
                (&original.input, &original.output)
            );
            // What differs from prompt to prompt stays.
            let data = original
                .instruction
                .rsplit("\n\n")
                .next()
                .expect("a last part");
            let data = data
                .split_once("'user_query'")
                .map_or(data, |(_, data)| data);
            assert!(row.instruction.ends_with(data), "{}", row.instruction);
        }
    }
}

#[test]
fn wordings_count_where_the_ratio_counts_tokens() {
    let scratch = Scratch::new();
    scratch.small_sources(20, 900);
    let common = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--ratio-tokens",
        "3",
        "--tokenizer",
        concat!(env!("CARGO_MANIFEST_DIR"), "/data/model/tiny"),
    ];
    let tokens = |arguments: &[&str]| {
        built(&scratch, &[&common[..], arguments].concat());
        let ratio = manifest(&scratch.path().join("shards"))["ratio"]["tokens"].clone();
        (
            ratio["task_tokens"].as_u64().expect("tokens"),
            ratio["achieved"].as_f64().expect("a ratio"),
        )
    };
    let (off, _) = tokens(&["--reword", "off"]);
    let (reworded, achieved) = tokens(&["--variants", "2"]);
    assert!(reworded > 2 * off, "{reworded} and {off}");
    assert!((achieved - 3.0).abs() < 0.1, "{achieved}");
}
