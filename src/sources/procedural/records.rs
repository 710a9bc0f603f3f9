//! Records of named fields: reading one, and writing one out in another shape.

use rand::Rng as _;

use super::{
    Pair, Rng,
    calendar::{Date, DateStyle},
    english::with_article,
    lexicon::{self, COLOURS, NAMES, OCCUPATIONS, SPORTS, TOWNS},
    phrasing::{Form, Prompt, fill, pick},
};

const READ: &[&str] = &[
    "What is the {field} in this record?",
    "Give the {field} from the record.",
    "Read the record and report the {field}.",
    "Extract the {field} from the following entry.",
    "Which {field} does the entry state?",
    "{data}\n\nWhat is the {field}?",
    "From the record below, copy the {field}.\n\n{data}",
    "Find the {field} in the key-value list.",
    "The list holds one value for each key. What is the value of \"{field}\"?",
    "Look up the key \"{field}\" here:\n\n{data}",
];

const FORMAT: &[&str] = &[
    "Write the record {shape}.",
    "Turn the record into one line, {shape}.",
    "Reformat the entry: it should be written {shape}.",
    "Format this record {shape}.",
    "Rewrite the fields {shape}.",
    "{data}\n\nWrite the record above {shape}.",
    "Print the following {shape}.\n\n{data}",
    "Please give this entry {shape}.",
    "The record has to be stored {shape}. What is the line?",
];

const PROFILE: &[&str] = &[
    "Write a short introduction of the person from these notes.",
    "Turn the notes into a few sentences about the person.",
    "Put these facts into running text.",
    "Use all the facts below to introduce the person in full sentences.",
    "Write a brief profile that contains every fact of the record.",
    "{data}\n\nWrite a small paragraph that presents this person.",
    "Introduce the person described here in a short paragraph.\n\n{data}",
    "Make readable prose of the record.",
    "A newsletter presents a new member. Write the text from the notes.",
];

/// Ways to write a record on one line, each with its description.
const SHAPES: &[(&str, &str)] = &[
    (
        "as name, town and job separated by semicolons",
        "{name};{town};{job}",
    ),
    ("as \"name (job), town\"", "{name} ({job}), {town}"),
    ("as \"town: name, age\"", "{town}: {name}, {age}"),
    (
        "with the name in capitals, then a hyphen between spaces, then the job",
        "{NAME} - {job}",
    ),
    (
        "as key=value pairs for name and age, separated by an ampersand",
        "name={name}&age={age}",
    ),
    ("as job and town with a slash between them", "{job}/{town}"),
    (
        "as a CSV row with the order name, age, town, job",
        "{name},{age},{town},{job}",
    ),
    (
        "as a CSV row with the order job, name, age",
        "{job},{name},{age}",
    ),
    (
        "as a Markdown table row with name, job and town",
        "| {name} | {job} | {town} |",
    ),
    (
        "as \"name, aged age, of town\"",
        "{name}, aged {age}, of {town}",
    ),
    (
        "as name and age with a colon and a space between them",
        "{name}: {age}",
    ),
    (
        "as a sentence of the form \"name is age and lives in town.\"",
        "{name} is {age} and lives in {town}.",
    ),
];

const PROFILES: &[&str] = &[
    "{name} is {a_job} from {town}. At the age of {age}, {name} enjoys {sport} and likes the colour {colour} best.",
    "Meet {name}, {a_job} who lives in {town}. {name} is {age} years old. The favourite sport is {sport}, and the favourite colour is {colour}.",
    "{town} is the home of {name}, who is {age} and works as {a_job}. In free time it is {sport} that counts, and {colour} is the colour of choice.",
    "Working as {a_job} in {town}, {name} is {age} years old. {name} is fond of {sport}. Asked for a favourite colour, {name} says {colour}.",
];

/// A person on paper.
struct Record {
    name: &'static str,
    age: i64,
    town: &'static str,
    job: &'static str,
    sport: &'static str,
    colour: &'static str,
    joined: Date,
}

/// The value of one field.
pub(super) fn read(rng: &mut Rng) -> Pair {
    let record = Record::draw(rng);
    let fields = record.fields();
    let (field, value) = &fields[rng.random_range(0..fields.len())];
    let form = Form::brief(rng);
    let text = record.written(rng);
    let prompt = Prompt::new(rng, READ, &text, &[("field", field)]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => value.clone(),
        _ => format!("The {field} is {value}."),
    })
}

/// The record in a shape that is described.
pub(super) fn format(rng: &mut Rng) -> Pair {
    let record = Record::draw(rng);
    let (shape, template) = pick(rng, SHAPES);
    let text = record.written(rng);
    let prompt = Prompt::new(rng, FORMAT, &text, &[("shape", &shape)]);
    prompt.answered(record.fill(template))
}

/// The record as a few sentences.
pub(super) fn profile(rng: &mut Rng) -> Pair {
    let record = Record::draw(rng);
    let text = record.written(rng);
    let mut output = record.fill(pick(rng, PROFILES));
    output.push_str(&fill(
        pick(
            rng,
            &[
                " {name} joined on {date}.",
                " The date of joining is {date}.",
                " {name} has been with us since {date}.",
            ],
        ),
        &[
            ("name", &record.name),
            ("date", &record.joined.written(DateStyle::DayFirst)),
        ],
    ));
    Prompt::new(rng, PROFILE, &text, &[]).answered(output)
}

impl Record {
    fn draw(rng: &mut Rng) -> Record {
        Record {
            name: lexicon::any(rng, &NAMES),
            age: rng.random_range(18..=79),
            town: lexicon::any(rng, &TOWNS),
            job: lexicon::any(rng, &OCCUPATIONS),
            sport: lexicon::any(rng, &SPORTS),
            colour: lexicon::any(rng, &COLOURS),
            joined: Date::draw(rng),
        }
    }

    fn fields(&self) -> [(&'static str, String); 7] {
        [
            ("name", self.name.to_owned()),
            ("age", self.age.to_string()),
            ("town", self.town.to_owned()),
            ("job", self.job.to_owned()),
            ("sport", self.sport.to_owned()),
            ("colour", self.colour.to_owned()),
            ("joined", self.joined.to_string()),
        ]
    }

    /// One field a line, in any order.
    fn written(&self, rng: &mut Rng) -> String {
        let separator = pick(rng, &[": ", " = ", " - "]);
        let fields = self.fields();
        let order = lexicon::several(rng, &[0, 1, 2, 3, 4, 5, 6], 7);
        let lines: Vec<String> = order
            .into_iter()
            .map(|i: usize| [fields[i].0, separator, &fields[i].1].concat())
            .collect();
        lines.join("\n")
    }

    fn fill(&self, template: &str) -> String {
        let slots: &[(&str, &dyn std::fmt::Display)] = &[
            ("name", &self.name),
            ("NAME", &self.name.to_uppercase()),
            ("age", &self.age),
            ("town", &self.town),
            ("job", &self.job),
            ("a_job", &with_article(self.job)),
            ("sport", &self.sport),
            ("colour", &self.colour),
        ];
        fill(template, slots)
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, wording};
    use super::*;

    /// The value that a line of the record gives for a field.
    fn value(pair: &Pair, field: &str) -> String {
        let text = wording(pair);
        let value = [": ", " = ", " - "].iter().find_map(|separator| {
            let start = format!("{field}{separator}");
            text.lines()
                .find_map(|line| line.strip_prefix(&start).map(str::to_owned))
        });
        value.unwrap()
    }

    const FIELDS: [&str; 7] = ["name", "age", "town", "job", "sport", "colour", "joined"];

    #[test]
    fn the_field_read_is_one_the_question_names() {
        for pair in draws(read) {
            let is_value = |field: &&str| {
                let value = value(&pair, field);
                pair.instruction.contains(*field)
                    && (pair.output == value || pair.output.ends_with(&format!(" {value}.")))
            };
            assert!(FIELDS.iter().any(is_value), "{pair:?}");
        }
    }

    #[test]
    fn formatted_records_have_the_shape_described() {
        for pair in draws(format) {
            let asks = |words: &str| pair.instruction.contains(words);
            let [name, age, town, job] =
                ["name", "age", "town", "job"].map(|field| value(&pair, field));
            let expected = match () {
                () if asks("separated by semicolons") => [name, town, job].join(";"),
                () if asks("\"name (job), town\"") => format!("{name} ({job}), {town}"),
                () if asks("\"town: name, age\"") => format!("{town}: {name}, {age}"),
                () if asks("in capitals") => format!("{} - {job}", name.to_uppercase()),
                () if asks("ampersand") => format!("name={name}&age={age}"),
                () if asks("a slash between") => [job, town].join("/"),
                () if asks("name, age, town, job") => [name, age, town, job].join(","),
                () if asks("job, name, age") => [job, name, age].join(","),
                () if asks("Markdown table row") => format!("| {name} | {job} | {town} |"),
                () if asks("aged age") => format!("{name}, aged {age}, of {town}"),
                () if asks("a colon and a space") => [name, age].join(": "),
                () => format!("{name} is {age} and lives in {town}."),
            };
            assert_eq!(pair.output, expected, "{pair:?}");
        }
    }

    #[test]
    fn profiles_hold_every_fact() {
        for pair in draws(profile) {
            for field in &FIELDS[..6] {
                assert!(pair.output.contains(&value(&pair, field)), "{pair:?}");
            }
            assert!(
                pair.output.contains(&value(&pair, "joined")[..4]),
                "{pair:?}"
            );
        }
    }
}
