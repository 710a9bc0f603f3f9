use std::collections::BTreeMap;
use std::path::Path;

use delia::config::{BUNDLED_RECIPES, BuildConfig, Recipe};
use serde_json::{Value, json};

use crate::delia::{Row, Scratch, manifest, stream};
use crate::fake_model::{completion, prompt_of};
use crate::server::Server;

/// The rows of a recipe's build, at a smaller ratio where it has one.
fn built(scratch: &Scratch, name: &str) -> Vec<Row> {
    let is_mixed = Recipe::read(Path::new(name))
        .expect("a recipe")
        .build
        .and_then(|build| build.ratio);
    let smaller: &[&str] = match is_mixed.map(|ratio| ratio.to_string()).as_deref() {
        Some("0") => &[],
        _ => &["--ratio", "5"],
    };
    scratch
        .build(&[&["--recipe", name, "--out", name], smaller].concat())
        .ok();
    stream(&scratch.path().join(name))
}

#[test]
fn every_recipe_is_read_and_names_its_source() {
    for (name, text) in BUNDLED_RECIPES {
        let recipe = Recipe::parse(Path::new(name), text).expect("a recipe");
        BuildConfig::from_recipe(recipe).expect("it fits");
        assert!(text.starts_with("# "), "{name}");
        assert!(
            text.contains(" et al. ") || text.contains("arXiv"),
            "{name}"
        );
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/recipes/{name}.toml"));
        assert_eq!(std::fs::read_to_string(file).expect("a file"), *text);
    }
    let n_files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/recipes"))
        .expect("a folder")
        .count();
    assert_eq!(n_files, BUNDLED_RECIPES.len() + 1, "and the README");
}

#[test]
fn the_ablations_differ_in_what_they_are_named_after() {
    let scratch = Scratch::new();
    let counts = |name: &str| {
        let rows = built(&scratch, name);
        let tasks: Vec<_> = rows.iter().filter(|row| row.is_task()).collect();
        let reworded = tasks.iter().filter(|row| row.direction.is_some()).count();
        (tasks.len(), reworded, rows.len() - tasks.len())
    };
    assert_eq!(counts("delia"), (100, 100, 500));
    assert_eq!(counts("common"), (100, 0, 0));
    assert_eq!(counts("without-diverse"), (100, 100, 0));
    assert_eq!(counts("without-reword"), (100, 0, 500));
    assert_eq!(counts("without-both"), (100, 0, 0));
    assert_eq!(counts("diverse-only"), (0, 0, 500));
    let diverse = |name: &str| -> Vec<String> {
        let rows = stream(&scratch.path().join(name));
        rows.iter()
            .filter(|row| !row.is_task())
            .map(|row| row.instruction.clone())
            .collect()
    };
    assert_eq!(diverse("delia"), diverse("diverse-only"));
    assert_eq!(diverse("delia").len(), diverse("without-reword").len());
}

#[test]
fn facts_are_taught_in_the_same_number_of_wordings() {
    let scratch = Scratch::new();
    let rows = built(&scratch, "fact-based");
    let mut by_fact: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        by_fact.entry(row.source_row).or_default().push(row);
    }
    assert_eq!((rows.len(), by_fact.len()), (200, 20));
    for of_fact in by_fact.values() {
        assert_eq!(of_fact.len(), 10);
        assert!(
            of_fact
                .iter()
                .all(|row| row.output == of_fact[0].output && row.output.contains("<sep>"))
        );
    }
    assert_eq!(
        manifest(&scratch.path().join("fact-based"))["plan"]["special_tokens"],
        json!(["<sep>"])
    );
}

#[test]
fn stages_and_anchors_are_those_of_their_methods() {
    let scratch = Scratch::new();
    let rows = built(&scratch, "dmt");
    assert!(
        rows[..100].iter().all(Row::is_task)
            && rows[100..].iter().filter(|row| row.is_task()).count() == 1
    );
    let rows = built(&scratch, "tell");
    let (tasks, diverse): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_task());
    assert_eq!((tasks.len(), diverse.len()), (100, 500));
    assert!(tasks.iter().all(|row| {
        row.instruction
            .ends_with("\nThis is a request in the <sep> style.")
    }));
    assert!(diverse.iter().all(|row| !row.instruction.contains("<sep>")));
}

#[test]
fn self_guide_adds_samples_that_look_like_those_of_the_task() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, nth| {
        let prompt = prompt_of(asked);
        let word =
            |of: usize| blake3::hash(format!("{prompt}{of}").as_bytes()).to_hex()[..12].to_owned();
        if prompt.contains("more samples of the same task") {
            let pairs: Vec<_> = (0..5)
                .map(|of| json!({"instruction": "anything", "input": format!("Question: What is {} {}?\nAnswer: A {}.", word(of), word(of + 9), word(of + 18)), "output": "?"}))
                .collect();
            return completion(&Value::from(pairs).to_string());
        }
        assert!(prompt.ends_with("in exactly the form of those before it, and nothing else."));
        completion(match nth % 4 {
            0 => "I do not know.",
            _ => {
                r#"{"thought": "Nothing in the question says so, and the answer makes it up from nothing.", "hallucination": "yes"}"#
            }
        })
    });
    let base = server.url("v1");
    let arguments = [
        "--recipe",
        "self-guide",
        "--task",
        "bundled:formatted_text",
        "llm:60",
        "--endpoint",
        &base,
        "--llm-model",
        "m",
        "--cache",
        "cache",
    ];
    let said = scratch.build(&arguments).ok();
    assert!(said.contains("× an answer with other keys"), "{said}");
    let rows = stream(&scratch.path().join("shards"));
    let new: Vec<_> = rows.iter().filter(|row| row.source == "llm").collect();
    assert_eq!((rows.len(), new.len()), (160, 60));
    let original = rows
        .iter()
        .find(|row| row.source == "formatted_text")
        .expect("a row");
    for row in new {
        assert!(
            row.is_task() && row.instruction == original.instruction,
            "{row:?}"
        );
        assert!(row.input.starts_with("Question: ") && row.output.starts_with("{\"thought\""));
    }
    // Again without a server, from what was kept.
    let n_asked = server.asked().len();
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
    assert_eq!(server.asked().len(), n_asked);
    let hashes = |name: &str| crate::fake_model::shards(&scratch.path().join(name));
    assert_eq!(hashes("again"), hashes("shards"));
    scratch
        .build(&[
            "--task",
            "llm:5",
            "--endpoint",
            &base,
            "--llm-model",
            "m",
            "--cache",
            "cache",
            "--force",
        ])
        .fails(2, &["there are none to show", "llm:100"]);
}
