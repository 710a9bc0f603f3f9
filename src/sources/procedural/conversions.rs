//! Documents of one format written in another.

use rand::Rng as _;

use super::{
    Pair, Rng,
    documents::{JsonLayout, Value},
    english::{joined, listed, ordinal},
    facts::{Facts, any_subject},
    lexicon::{self, TOOLS},
    phrasing::{Form, Prompt, fill, pick},
};

const TO_YAML: &[&str] = &[
    "Convert this JSON to YAML.",
    "Write the JSON document as YAML.",
    "Turn the JSON into YAML:\n\n{data}",
    "{data}\n\nGive the same data in YAML.",
    "The following is JSON. Rewrite it as YAML.",
    "A configuration file has to be YAML instead of JSON. Translate it.",
    "Express these data in YAML, with two spaces of indentation.",
    "What does this JSON look like in YAML?",
    "Please translate from JSON to YAML.\n\n{data}",
    "Change the format from JSON to YAML and keep the order of the keys.",
    "YAML, please, for this JSON document.",
];

const FROM_YAML: &[&str] = &[
    "Convert this YAML to JSON.",
    "Write the YAML document as JSON.",
    "Turn the YAML into JSON:\n\n{data}",
    "{data}\n\nGive the same data in JSON.",
    "The following is YAML. Rewrite it as JSON.",
    "A service accepts JSON only. Translate the YAML.",
    "Express these data in JSON.",
    "What does this YAML look like in JSON?",
    "Please translate from YAML to JSON.\n\n{data}",
    "Change the format from YAML to JSON and keep the order of the keys.",
    "JSON, please, for this YAML document.",
];

const FROM_CSV: &[&str] = &[
    "Convert the CSV to a JSON array with one object per row. {columns}",
    "Write each row of the CSV file as a JSON object, all of them in an array. {columns}",
    "{data}\n\nTurn this CSV into an array of JSON objects. {columns}",
    "Parse the CSV and return JSON, an array of objects. {columns}",
    "The first line holds the names of the columns. Make a JSON object of every other line and collect them in an array. {columns}",
    "From comma-separated values to JSON: one object for each row, in an array. {columns}",
    "Give the rows as objects in a JSON array. {columns}\n\n{data}",
    "Read these records and write them as an array of JSON objects. {columns}",
    "A web page loads its rows as a JSON array of objects. Write it. {columns}",
    "I have a CSV export and need an array of JSON objects. {columns}",
];

const ALL_COLUMNS: &[&str] = &[
    "Use the names of the columns as keys.",
    "The keys are the names of the columns.",
    "Keep every column.",
    "Numbers, true and false stay without quotes.",
];

const SOME_COLUMNS: &[&str] = &[
    "Keep only {columns}, in this order.",
    "The keys are {columns}; drop the other columns.",
    "Each object has just the keys {columns}.",
    "I need nothing but {columns}.",
];

const FROM_MARKDOWN: &[&str] = &[
    "Convert the table to a JSON object: the first column gives the keys, and each value is an object with the rest of the row.",
    "Turn the Markdown table into JSON. Use the entry of the first column as key for an object that holds the other columns.",
    "{data}\n\nWrite this as one JSON object that maps the first cell of every row to an object of the other cells.",
    "Make JSON of the table, keyed by its first column, with an object of the remaining columns under each key.",
    "Index the rows by their first cell: a JSON object of objects, without the first column inside.",
    "For every row of the table add a key to a JSON object, named like the first cell; its value is an object of the other cells.",
    "Read the Markdown table and answer in JSON. First cells become keys, and the other cells an object under them.",
    "A program looks rows up by their first column. Write the table for it as a JSON object whose values are objects of the other columns.\n\n{data}",
    "Rewrite the table as nested JSON: first column outside, the other columns inside.",
    "The rows are to become entries of one JSON object, with the first column as key and the other columns as an inner object.",
];

const TO_CSV: &[&str] = &[
    "Convert the JSON array to CSV with a header line. {wishes}",
    "Write these objects as CSV, names of the columns first. {wishes}",
    "{data}\n\nTurn the objects into CSV that starts with a header. {wishes}",
    "Flatten the JSON into CSV with a header. {wishes}",
    "A spreadsheet has to open this. Write it as CSV with a header line. {wishes}",
    "One line per object, and a header above: give the data as CSV. {wishes}",
    "Export the array as CSV, including a header. {wishes}\n\n{data}",
    "Make a CSV file of the JSON; its first line names the columns. {wishes}",
    "Please change JSON into CSV with column names at the top. {wishes}",
    "List the objects as rows of a CSV file with a header. {wishes}",
];

const COLUMN_ORDER: &[&str] = &[
    "The columns are {columns}.",
    "Use the columns {columns}, in this order.",
    "Write only {columns}.",
];

const SEPARATORS: &[(&str, &[&str])] = &[
    (
        ",",
        &[
            "Separate the cells by commas.",
            "Put commas between the cells.",
            "Use a comma as separator.",
        ],
    ),
    (
        ";",
        &[
            "Separate the cells by semicolons.",
            "Put semicolons between the cells.",
            "Use a semicolon as separator.",
        ],
    ),
];

const TO_SENTENCE: &[&str] = &[
    "Say in words what this JSON object holds.",
    "Write a sentence or two with all facts of the JSON.",
    "Turn the JSON object into plain English.",
    "{data}\n\nPut this into running text.",
    "Tell a reader who knows no JSON what it says.",
    "Write the object as prose and leave nothing out.",
    "Describe in plain words:\n\n{data}",
    "What does the object say? Answer in ordinary English.",
    "Explain the content of the JSON in a sentence.",
    "Make readable text of these data.",
    "Read the object and report every fact in full sentences.",
];

const VALUE: &[&str] = &[
    "What is the value of \"{key}\" in {which} object?",
    "Give the value of \"{key}\" in {which} object of the array.",
    "Look at {which} object. What stands under \"{key}\"?",
    "Read \"{key}\" from {which} object of this JSON.",
    "{data}\n\nWhich value does \"{key}\" have in {which} object?",
    "Find the key \"{key}\" in {which} object and report its value.",
    "Of {which} object I need \"{key}\".\n\n{data}",
    "In the array, go to {which} object. Which value has \"{key}\"?",
    "Extract \"{key}\" from {which} object.",
    "Tell me what {which} object holds as \"{key}\".",
];

/// A JSON document in YAML.
pub(super) fn json_to_yaml(rng: &mut Rng) -> Pair {
    let (document, layout) = (document(rng), given_layout(rng));
    Prompt::new(rng, TO_YAML, &document.json(layout), &[]).answered(document.yaml())
}

/// A YAML document in JSON.
pub(super) fn yaml_to_json(rng: &mut Rng) -> Pair {
    let (document, layout) = (document(rng), JsonLayout::any(rng));
    let request = layout.request(rng);
    Prompt::new(rng, FROM_YAML, &document.yaml(), &[])
        .with_request(request)
        .answered(document.json(layout))
}

/// The rows of a CSV file as objects.
pub(super) fn csv_to_json(rng: &mut Rng) -> Pair {
    let rows = Rows::draw(rng);
    let kept = match rng.random_bool(0.4) {
        true => rows.some_fields(rng),
        false => rows.fields.clone(),
    };
    let columns = match kept == rows.fields {
        true => pick(rng, ALL_COLUMNS).to_owned(),
        false => {
            let columns = quoted(&rows.several[0].subject.plain_keys(&kept));
            fill(pick(rng, SOME_COLUMNS), &[("columns", &columns)])
        }
    };
    let layout = JsonLayout::any(rng);
    let request = layout.request(rng);
    let text = rows.csv(&rows.fields, ",");
    Prompt::new(rng, FROM_CSV, &text, &[("columns", &columns)])
        .with_request(request)
        .answered(rows.objects(&kept).json(layout))
}

/// The rows of a Markdown table as objects under their first cells.
pub(super) fn markdown_to_json(rng: &mut Rng) -> Pair {
    let mut rows = Rows::draw(rng);
    // What the rows differ in comes first, so that no key is given twice.
    rows.fields.retain(|field| *field != 0);
    rows.fields.insert(0, 0);
    let others = &rows.fields[1..];
    let keys = rows.several[0].subject.plain_keys(others);
    let entries = rows.several.iter().map(|facts| {
        let key = facts.value(0).plain().into_owned();
        (key, facts.object(others, &keys))
    });
    let json = Value::Object(entries.collect());
    let layout = JsonLayout::any(rng);
    let request = layout.request(rng);
    Prompt::new(rng, FROM_MARKDOWN, &rows.markdown(), &[])
        .with_request(request)
        .answered(json.json(layout))
}

/// Objects as rows of a CSV file.
pub(super) fn json_to_csv(rng: &mut Rng) -> Pair {
    let rows = Rows::draw(rng);
    let (separator, ask) = pick(rng, SEPARATORS);
    let (columns, mut wishes) = match rng.random_bool(0.4) {
        true => {
            let columns = rows.some_fields(rng);
            let names = quoted(&rows.several[0].subject.plain_keys(&columns));
            let wish = fill(pick(rng, COLUMN_ORDER), &[("columns", &names)]);
            (columns, vec![wish])
        }
        false => (rows.fields.clone(), Vec::new()),
    };
    wishes.push(pick(rng, ask).to_owned());
    let layout = given_layout(rng);
    let text = rows.objects(&rows.fields).json(layout);
    Prompt::new(rng, TO_CSV, &text, &[("wishes", &wishes.join(" "))])
        .answered(rows.csv(&columns, separator))
}

/// An object in words.
pub(super) fn json_to_sentence(rng: &mut Rng) -> Pair {
    let facts = Facts::any(rng);
    let fields = facts.subject.choose(rng, facts.subject.fields.len());
    let keys = facts.subject.plain_keys(&fields);
    let layout = given_layout(rng);
    let text = facts.object(&fields, &keys).json(layout);
    let told = facts.told(rng);
    Prompt::new(rng, TO_SENTENCE, &text, &[]).answered(told)
}

/// One value of an array of objects.
pub(super) fn json_value(rng: &mut Rng) -> Pair {
    let rows = Rows::draw(rng);
    let subject = rows.several[0].subject;
    let place = rng.random_range(0..rows.several.len());
    let field = pick(rng, &rows.fields);
    let is_last = place + 1 == rows.several.len();
    let which = match rng.random_bool(0.3) {
        true if is_last => "the last".to_owned(),
        _ => format!("the {}", place_in_words(place)),
    };
    let key = subject.fields[field].names[0];
    let (form, layout) = (Form::brief(rng), given_layout(rng));
    let text = rows.objects(&rows.fields).json(layout);
    let value = rows.several[place].value(field);
    Prompt::new(rng, VALUE, &text, &[("key", &key), ("which", &which)])
        .in_form(form, rng)
        .answered(match form {
            Form::Bare => value.to_string(),
            _ => format!("In {which} object, \"{key}\" is {value}."),
        })
}

/// A layout for JSON that is given.
fn given_layout(rng: &mut Rng) -> JsonLayout {
    pick(rng, &[JsonLayout::Line, JsonLayout::Indented])
}

fn place_in_words(place: usize) -> String {
    match ["first", "second", "third", "fourth"].get(place) {
        Some(word) => (*word).to_owned(),
        None => ordinal(place as i64 + 1),
    }
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| ["\"", name, "\""].concat())
        .collect();
    listed(&quoted)
}

/// An object of a few entries, among which there may be a list and an inner object, or a list of objects.
fn document(rng: &mut Rng) -> Value {
    if rng.random_ratio(1, 3) {
        let rows = Rows::draw(rng);
        let key = rows.several[0].subject.plural;
        let objects = rows.objects(&rows.fields);
        return match rng.random_bool(0.5) {
            true => Value::Object(vec![(key.to_owned(), objects)]),
            false => objects,
        };
    }
    let facts = Facts::any(rng);
    let n_fields = rng.random_range(3..=5);
    let fields = facts.subject.choose(rng, n_fields);
    let keys = facts.subject.plain_keys(&fields);
    let n_outer = match rng.random_bool(0.4) {
        true => rng.random_range(1..n_fields),
        false => n_fields,
    };
    let Value::Object(mut entries) = facts.object(&fields[..n_outer], &keys[..n_outer]) else {
        unreachable!("facts make an object")
    };
    if n_outer < n_fields {
        let inner = facts.object(&fields[n_outer..], &keys[n_outer..]);
        entries.push((pick(rng, &["details", "info", "more"]).to_owned(), inner));
    }
    if rng.random_ratio(1, 3) {
        let n_tools = rng.random_range(2..=4);
        let tools = lexicon::several(rng, &TOOLS, n_tools).into_iter();
        let tools = Value::List(tools.map(Value::from).collect());
        let place = rng.random_range(0..=entries.len());
        entries.insert(place, ("tools".to_owned(), tools));
    }
    Value::Object(entries)
}

/// A few things of one kind with the same facts of each, as in a table.
struct Rows {
    several: Vec<Facts>,
    fields: Vec<usize>,
}

impl Rows {
    fn draw(rng: &mut Rng) -> Rows {
        let (subject, n_rows) = (any_subject(rng), rng.random_range(2..=4));
        let n_fields = rng.random_range(3..=4);
        Rows {
            several: Facts::draw_several(rng, subject, n_rows),
            fields: subject.choose(rng, n_fields),
        }
    }

    /// Two of the columns, in any order.
    fn some_fields(&self, rng: &mut Rng) -> Vec<usize> {
        lexicon::several(rng, &self.fields, 2)
    }

    fn objects(&self, fields: &[usize]) -> Value {
        let keys = self.several[0].subject.plain_keys(fields);
        Value::List(
            self.several
                .iter()
                .map(|facts| facts.object(fields, &keys))
                .collect(),
        )
    }

    fn csv(&self, fields: &[usize], separator: &str) -> String {
        let mut lines = vec![self.several[0].subject.plain_keys(fields).join(separator)];
        lines.extend(self.several.iter().map(|facts| {
            let cells: Vec<&Value> = fields.iter().map(|field| facts.value(*field)).collect();
            joined(&cells, separator)
        }));
        lines.join("\n")
    }

    fn markdown(&self) -> String {
        let mut text = String::with_capacity(256);
        for (i, line) in self.csv(&self.fields, " | ").lines().enumerate() {
            if i == 1 {
                text.push('|');
                text.extend(self.fields.iter().map(|_| " --- |"));
                text.push('\n');
            }
            text.push_str("| ");
            text.push_str(line);
            text.push_str(" |\n");
        }
        text.pop();
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value as Json, json};

    use super::super::checking::{draws, keys_of, read_json, read_table, read_yaml, wording};
    use super::super::facts::reading;
    use super::*;

    /// The JSON in a text: from the first brace or bracket to the last.
    fn json_in(text: &str) -> &str {
        let (start, end) = (
            text.find(['{', '[']).unwrap(),
            text.rfind(['}', ']']).unwrap(),
        );
        &text[start..=end]
    }

    /// The lines of a text that are of its table or document.
    fn lines_with(text: &str, is_of_it: impl Fn(&str) -> bool) -> Vec<&str> {
        text.lines().filter(|line| is_of_it(line)).collect()
    }

    fn is_yaml(line: &str) -> bool {
        let line = line.trim_start();
        let line = line.strip_prefix("- ").unwrap_or(line);
        let key = line.split(':').next().unwrap();
        let ends_key = line[key.len()..] == *":" || line[key.len()..].starts_with(": ");
        !line.is_empty() && !key.contains(' ') && (ends_key || !line.contains([' ', ':']))
    }

    #[test]
    fn yaml_reads_back_as_the_json_it_was_made_of() {
        for pair in draws(json_to_yaml) {
            let text = wording(&pair);
            assert_eq!(
                read_yaml(&pair.output),
                read_json(json_in(&text)),
                "{pair:?}"
            );
            let keys = pair.output.lines().filter_map(|line| line.split_once(':'));
            let keys: Vec<&str> = keys
                .map(|(key, _)| key.trim_start_matches([' ', '-']))
                .collect();
            assert_eq!(keys, keys_of(json_in(&text)), "{pair:?}");
        }
    }

    #[test]
    fn json_reads_back_as_the_yaml_it_was_made_of() {
        for pair in draws(yaml_to_json) {
            let yaml = match pair.input.is_empty() {
                true => lines_with(&pair.instruction, is_yaml).join("\n"),
                false => pair.input.clone(),
            };
            assert_eq!(read_json(&pair.output), read_yaml(&yaml), "{pair:?}");
        }
    }

    /// Rows as an array of objects, with the keys that a wish for some of them quotes.
    fn objects(rows: &[Vec<(String, Json)>], wish: &str) -> Vec<Vec<(String, Json)>> {
        let wanted: Vec<&str> = wish.split('"').skip(1).step_by(2).collect();
        let select = |row: &Vec<(String, Json)>| match wanted.is_empty() {
            true => row.clone(),
            false => wanted
                .iter()
                .map(|key| row.iter().find(|(name, _)| name == key).unwrap().clone())
                .collect(),
        };
        rows.iter().map(select).collect()
    }

    fn as_json(rows: Vec<Vec<(String, Json)>>) -> Json {
        let rows = rows
            .into_iter()
            .map(|row| row.into_iter().collect::<Map<_, _>>());
        json!(rows.collect::<Vec<_>>())
    }

    #[test]
    fn rows_of_csv_become_objects() {
        for pair in draws(csv_to_json) {
            let is_row = |line: &str| line.contains(',') && !line.contains(' ');
            let text = wording(&pair);
            let rows = read_table(&lines_with(&text, is_row).join("\n"));
            assert_eq!(
                read_json(&pair.output),
                as_json(objects(&rows, &text)),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn rows_of_markdown_become_objects_under_their_first_cell() {
        for pair in draws(markdown_to_json) {
            let text = wording(&pair);
            let table = lines_with(&text, |line| line.starts_with('|'));
            let rows = read_table(&table.join("\n")).into_iter();
            let entries = rows.map(|mut row| {
                let (_, key) = row.remove(0);
                (
                    key.as_str().unwrap().to_owned(),
                    Json::Object(row.into_iter().collect()),
                )
            });
            assert_eq!(
                read_json(&pair.output),
                Json::Object(entries.collect()),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn csv_reads_back_as_the_objects_it_was_made_of() {
        for pair in draws(json_to_csv) {
            let text = wording(&pair);
            let json = json_in(&text);
            let wish = text.replace(json, "");
            let given = read_json(json);
            let wanted: Vec<&str> = wish.split('"').skip(1).step_by(2).collect();
            let rows = read_table(&pair.output);
            let header: Vec<&str> = rows[0].iter().map(|(name, _)| name.as_str()).collect();
            let n_columns = given[0].as_object().unwrap().len();
            match wanted.is_empty() {
                true => assert_eq!(header, keys_of(json)[..n_columns], "{pair:?}"),
                false => assert_eq!(header, wanted, "{pair:?}"),
            }
            assert_eq!(
                pair.output.contains(';'),
                text.contains("emicolon"),
                "{pair:?}"
            );
            for (row, object) in rows.iter().zip(given.as_array().unwrap()) {
                assert!(
                    row.iter().all(|(name, cell)| object[name] == *cell),
                    "{pair:?}"
                );
            }
            assert_eq!(rows.len(), given.as_array().unwrap().len());
        }
    }

    #[test]
    fn sentences_tell_every_fact_of_the_object() {
        for pair in draws(json_to_sentence) {
            let text = wording(&pair);
            let (subject, values) = reading::facts(&pair.output).unwrap();
            let keys = subject.fields.iter().map(|field| field.names[0].to_owned());
            let told: Map<String, Json> = keys.zip(values).collect();
            assert_eq!(read_json(json_in(&text)), Json::Object(told), "{pair:?}");
        }
    }

    #[test]
    fn values_stand_in_the_object_and_under_the_key_asked_for() {
        for pair in draws(json_value) {
            let text = wording(&pair);
            let json = json_in(&text);
            let question = text.replace(json, "");
            let array = read_json(json);
            let array = array.as_array().unwrap();
            let key = question.split('"').nth(1).unwrap();
            let places = [
                "first object",
                "second object",
                "third object",
                "fourth object",
            ];
            let place = places.iter().position(|place| question.contains(place));
            let value = &array[place.unwrap_or(array.len() - 1)][key];
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let is_value = pair.output == value || pair.output.ends_with(&format!(" is {value}."));
            assert!(is_value, "{pair:?}");
        }
    }
}
