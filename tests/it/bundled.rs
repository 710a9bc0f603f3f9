use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn lines(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/task")
        .join(name);
    let text = fs::read_to_string(path).expect("a bundled file");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().expect("text")
}

#[test]
fn the_bundled_task_is_what_its_readme_says() {
    for (name, n_rows) in [
        ("formatted_text.jsonl", 100),
        ("formatted_text_held_out.jsonl", 100),
        ("formatted_text_dev.jsonl", 50),
    ] {
        let rows = lines(name);
        assert_eq!(rows.len(), n_rows, "{name}");
        let with_facts = rows
            .iter()
            .filter(|row| text(row, "input").starts_with("Facts: "))
            .count();
        assert!(
            2 * with_facts >= n_rows,
            "{name}: {with_facts} rows carry their facts"
        );
        let mut n_yes = 0;
        for row in &rows {
            let instruction = text(row, "instruction");
            assert_eq!(instruction.matches("<sep>").count(), 1);
            for giveaway in ["JSON", "json", "{", "}", "thought"] {
                assert!(
                    !instruction.contains(giveaway),
                    "`{giveaway}` in {instruction}"
                );
            }
            assert!(
                text(row, "input").contains("Question: ")
                    && text(row, "input").contains("\nAnswer: ")
            );
            let output: Value =
                serde_json::from_str(text(row, "output")).expect("the response is JSON");
            let keys: BTreeSet<_> = output
                .as_object()
                .expect("an object")
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(keys, BTreeSet::from(["hallucination", "thought"]), "{name}");
            assert!(text(row, "output").starts_with(r#"{"thought": ""#));
            assert!(
                text(&output, "thought").split_whitespace().count() >= 8,
                "{output}"
            );
            match text(&output, "hallucination") {
                "yes" => n_yes += 1,
                label => assert_eq!(label, "no"),
            }
        }
        assert_eq!(2 * n_yes, n_rows, "{name}: labels are balanced");
    }
}

#[test]
fn no_topic_question_or_thought_stands_twice() {
    let mut seen = BTreeSet::new();
    for name in [
        "formatted_text.jsonl",
        "formatted_text_held_out.jsonl",
        "formatted_text_dev.jsonl",
    ] {
        for row in lines(name) {
            let question = text(&row, "input")
                .split("Question: ")
                .nth(1)
                .expect("a question")
                .to_owned();
            for value in [
                text(&row, "topic").to_owned(),
                question,
                text(&row, "output").to_owned(),
            ] {
                assert!(seen.insert(value.clone()), "{name}: `{value}` stands twice");
            }
        }
    }
}

#[test]
fn every_data_folder_explains_itself() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for folder in ["", "task", "sampling", "recipes", "lexicon", "model/tiny"] {
        let readme = fs::read_to_string(data.join(folder).join("README.md")).expect("a README");
        for entry in fs::read_dir(data.join(folder)).expect("a folder") {
            let name = entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned();
            assert!(
                name == "README.md" || readme.contains(&name),
                "data/{folder}/README.md does not mention `{name}`"
            );
        }
    }
}
