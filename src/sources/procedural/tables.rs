//! Small tables made on the spot, and questions about them: as Markdown, as CSV, as records.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{is_or_are, joined},
    lexicon::{self, COLOURS, INSTRUMENTS, NAMES, OCCUPATIONS, SPORTS, TOWNS, Words},
    phrasing::{Form, Prompt, pick},
};

const LOOK_UP: &[&str] = &[
    "What is the {column} of {who}?",
    "Look up the {column} for {who} in the table.",
    "According to the table, what {column} does {who} have?",
    "Find the row of {who} and give the {column}.",
    "Which {column} is listed for {who}?",
    "Read the table. What stands under {column} for {who}?",
    "Here is a table.\n\n{data}\n\nWhat is the {column} of {who}?",
    "{data}\n\nUsing the table above, give the {column} of {who}.",
    "I need one cell of this table: the {column} of {who}.\n\n{data}",
];

const EXTREME: &[&str] = &[
    "Who has the {most} {column}?",
    "According to the table, who has the {most} {column}?",
    "Name the person with the {most} {column}.",
    "Find the row with the {most} {column} and give the name.",
    "Whose {column} is the {most}?",
    "Which person in the table has the {most} {column}?",
    "{data}\n\nWho has the {most} {column}?",
    "Look at these rows and name whoever has the {most} {column}.\n\n{data}",
    "Scan the column {column}: for which name is it the {most}?",
];

const FILTER: &[&str] = &[
    "List the names of everyone whose {column} is {above} {limit}.",
    "Which people in the data have a value of {column} {above} {limit}? Give their names.",
    "Filter the rows: keep those with {column} {above} {limit} and return the names.",
    "From the table, extract each name where {column} is {above} {limit}.",
    "Who has a value of {column} {above} {limit}? List the names in the order of the rows.",
    "Return the names, separated by commas, for rows with {column} {above} {limit}.",
    "{data}\n\nGive the names of all rows in which {column} is {above} {limit}.",
    "Select the names for which {column} is {above} {limit}:\n\n{data}",
    "Go through the rows and write down every name with {column} {above} {limit}.",
];

const COLUMN: &[&str] = &[
    "Extract the column {column}, separated by commas.",
    "List all values of {column} in order, separated by commas.",
    "Give me only the {column} column as a comma-separated list.",
    "Pull out the {column} of each row; use commas between them.",
    "What values does {column} take, row by row? Separate them with commas.",
    "Return the {column} values on one line, with commas in between.",
    "{data}\n\nFrom these rows, list the values of {column} with commas between them.",
    "Copy the {column} of every row from the data into a comma-separated list:\n\n{data}",
    "Drop every column but {column} and answer with its values, comma-separated.",
];

const TOTAL: &[&str] = &[
    "What is the total of {column}?",
    "Add up the column {column}.",
    "Sum the {column} values of all rows.",
    "Compute the sum over {column}.",
    "What do the values of {column} add up to?",
    "How much is {column} over all rows together?",
    "{data}\n\nWhat is the sum of {column} in this data?",
    "Add all numbers under {column}:\n\n{data}",
    "Give the total for the column named {column}.",
];

/// What a column of numbers may be called, with its range.
const NUMBER_COLUMNS: &[(&str, i64, i64)] = &[
    ("age", 18, 80),
    ("score", 1, 100),
    ("height", 150, 200),
    ("points", 10, 500),
    ("salary", 1_500, 6_000),
    ("distance", 3, 90),
    ("visits", 1, 60),
    ("orders", 2, 400),
];

/// What a column of words may be called, with the lexicon it draws from.
const WORD_COLUMNS: &[(&str, &Words)] = &[
    ("town", &TOWNS),
    ("job", &OCCUPATIONS),
    ("sport", &SPORTS),
    ("instrument", &INSTRUMENTS),
    ("colour", &COLOURS),
];

/// A table of people: a name, a word and one or two numbers each.
struct Table {
    header: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    word: &'static str,
    numbers: Vec<i64>,
}

/// One cell, found by name and column.
pub(super) fn look_up(rng: &mut Rng) -> Pair {
    let table = Table::draw(rng);
    let row = &table.rows[rng.random_range(0..table.rows.len())];
    let column = rng.random_range(1..table.header.len());
    let (header, cell) = (table.header[column], row.cell(column));
    let form = Form::brief(rng);
    let text = table.written(rng);
    let prompt = Prompt::new(
        rng,
        LOOK_UP,
        &text,
        &[("column", &header), ("who", &row.name)],
    )
    .in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => cell,
        _ => format!("The {header} of {} is {cell}.", row.name),
    })
}

/// Whose number is the largest or the smallest.
pub(super) fn extreme(rng: &mut Rng) -> Pair {
    let table = Table::draw(rng);
    let (column, header) = table.number_column(rng);
    let highest = rng.random_bool(0.5);
    let most = if highest {
        pick(rng, &["highest", "largest"])
    } else {
        pick(rng, &["lowest", "smallest"])
    };
    let value = |row: &&Row| row.numbers[column];
    let row = if highest {
        table.rows.iter().max_by_key(value)
    } else {
        table.rows.iter().min_by_key(value)
    };
    let row = row.expect("a table has rows");
    let form = Form::brief(rng);
    let text = table.written(rng);
    let prompt = Prompt::new(rng, EXTREME, &text, &[("column", &header), ("most", &most)])
        .in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => row.name.to_owned(),
        _ => format!(
            "{} has the {most} {header}, {}.",
            row.name, row.numbers[column]
        ),
    })
}

/// The names of the rows whose number is above or below a limit.
pub(super) fn filter(rng: &mut Rng) -> Pair {
    let table = Table::draw(rng);
    let (column, header) = table.number_column(rng);
    let over = rng.random_bool(0.5);
    let above = if over {
        pick(rng, &["above", "greater than"])
    } else {
        pick(rng, &["below", "less than"])
    };
    // Limits lie on a value of the table now and then, where "above" must not mean "at least".
    let limit = table.rows[rng.random_range(0..table.rows.len())].numbers[column]
        + rng.random_range(-3..=3);
    let passes = |row: &&Row| {
        if over {
            row.numbers[column] > limit
        } else {
            row.numbers[column] < limit
        }
    };
    let names: Vec<&str> = table
        .rows
        .iter()
        .filter(passes)
        .map(|row| row.name)
        .collect();
    let text = table.written(rng);
    let slots: &[(&str, &dyn std::fmt::Display)] =
        &[("column", &header), ("above", &above), ("limit", &limit)];
    let prompt = Prompt::new(rng, FILTER, &text, slots);
    prompt.answered(match names.len() {
        0 => format!("None of the rows has a value of {header} {above} {limit}."),
        _ => joined(&names, ", "),
    })
}

/// All cells of a column.
pub(super) fn column(rng: &mut Rng) -> Pair {
    let table = Table::draw(rng);
    let column = rng.random_range(0..table.header.len());
    let cells: Vec<String> = table.rows.iter().map(|row| row.cell(column)).collect();
    let text = table.written(rng);
    let prompt = Prompt::new(rng, COLUMN, &text, &[("column", &table.header[column])]);
    prompt.answered(joined(&cells, ", "))
}

/// The sum of a column.
pub(super) fn total(rng: &mut Rng) -> Pair {
    let table = Table::draw(rng);
    let (column, header) = table.number_column(rng);
    let numbers: Vec<i64> = table.rows.iter().map(|row| row.numbers[column]).collect();
    let sum: i64 = numbers.iter().sum();
    let form = Form::any(rng);
    let text = table.written(rng);
    let prompt = Prompt::new(rng, TOTAL, &text, &[("column", &header)]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => sum.to_string(),
        Form::Sentence => format!("The total of {header} is {sum}."),
        Form::Steps => {
            let n = numbers.len() as i64;
            let terms = joined(&numbers, " + ");
            format!("There {} {n} values of {header}. Their sum is {terms} = {sum}. The total is {sum}.", is_or_are(n))
        }
    })
}

impl Table {
    fn draw(rng: &mut Rng) -> Table {
        let (word_column, lexicon) = pick(rng, WORD_COLUMNS);
        let n_numbers = rng.random_range(1..=2);
        let number_columns = lexicon::several(rng, NUMBER_COLUMNS, n_numbers);
        let n_rows = rng.random_range(3..=6);
        let names = lexicon::several(rng, &NAMES, n_rows);
        let mut header = vec!["name", word_column];
        header.extend(number_columns.iter().map(|(name, ..)| name));
        let rows: Vec<Row> = names
            .into_iter()
            .map(|name| {
                let numbers = number_columns
                    .iter()
                    .map(|(_, low, high)| rng.random_range(*low..=*high))
                    .collect();
                Row {
                    name,
                    word: lexicon::any(rng, lexicon),
                    numbers,
                }
            })
            .collect();
        let mut table = Table { header, rows };
        table.make_numbers_distinct();
        table
    }

    /// Moves equal numbers of a column apart, so that the largest and the smallest have one owner.
    fn make_numbers_distinct(&mut self) {
        for column in 0..self.header.len() - 2 {
            for later in 1..self.rows.len() {
                while self.rows[..later]
                    .iter()
                    .any(|row| row.numbers[column] == self.rows[later].numbers[column])
                {
                    self.rows[later].numbers[column] += 1;
                }
            }
        }
    }

    fn number_column(&self, rng: &mut Rng) -> (usize, &'static str) {
        let column = rng.random_range(0..self.header.len() - 2);
        (column, self.header[column + 2])
    }

    /// As Markdown, as CSV or with bars between the cells.
    fn written(&self, rng: &mut Rng) -> String {
        let (open, between, close) = pick(
            rng,
            &[
                ("| ", " | ", " |"),
                ("", ",", ""),
                ("", ",", ""),
                ("", " | ", ""),
                ("", ";", ""),
            ],
        );
        let mut text = String::with_capacity(256);
        let mut line = |cells: &[String]| {
            text.push_str(open);
            text.push_str(&cells.join(between));
            text.push_str(close);
            text.push('\n');
        };
        line(
            &self
                .header
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        );
        if !open.is_empty() {
            line(&vec!["---".to_owned(); self.header.len()]);
        }
        for row in &self.rows {
            line(
                &(0..self.header.len())
                    .map(|column| row.cell(column))
                    .collect::<Vec<_>>(),
            );
        }
        text.pop();
        text
    }
}

impl Row {
    fn cell(&self, column: usize) -> String {
        match column {
            0 => self.name.to_owned(),
            1 => self.word.to_owned(),
            _ => self.numbers[column - 2].to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, wording};
    use super::*;

    /// Header and rows, read back from any of the layouts.
    fn cells(pair: &Pair) -> Vec<Vec<String>> {
        let text = wording(pair);
        let lines = text.lines().filter(|line| !line.contains("---"));
        let rows = lines.map(|line| {
            let line = line.trim_matches(['|', ' ']);
            let separator = [" | ", ";", ","]
                .into_iter()
                .find(|s| line.contains(s))
                .unwrap_or("\u{0}");
            line.split(separator)
                .map(|cell| cell.trim().to_owned())
                .collect::<Vec<_>>()
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let start = rows.iter().position(|row| row[0] == "name").unwrap();
        let width = rows[start].len();
        rows[start..]
            .iter()
            .take_while(|row| row.len() == width && !row[1].is_empty())
            .cloned()
            .collect()
    }

    /// The question without the table.
    fn question(pair: &Pair) -> String {
        let is_row = |line: &&str| {
            line.contains('|') || (line.contains([',', ';']) && !line.contains([' ', '?']))
        };
        let lines = pair.instruction.lines().filter(|line| !is_row(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The column that the question names.
    fn asked_column(pair: &Pair, cells: &[Vec<String>]) -> usize {
        let question = question(pair)
            .replace("the name", "")
            .replace("the row", "")
            .replace("names", "");
        let words: Vec<&str> = question.split(|c: char| !c.is_alphabetic()).collect();
        (1..cells[0].len())
            .find(|column| words.contains(&cells[0][*column].as_str()))
            .unwrap_or(0)
    }

    #[test]
    fn looked_up_cells_are_in_the_row_of_the_name() {
        for pair in draws(look_up) {
            let cells = cells(&pair);
            let question = question(&pair);
            let words: Vec<&str> = question.split(|c: char| !c.is_alphabetic()).collect();
            let row = cells[1..]
                .iter()
                .find(|row| words.contains(&row[0].as_str()))
                .unwrap();
            let cell = &row[asked_column(&pair, &cells)];
            assert!(
                pair.output == *cell || pair.output.ends_with(&format!(" is {cell}.")),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn nobody_has_more_than_the_one_named() {
        for pair in draws(extreme) {
            let cells = cells(&pair);
            let column = asked_column(&pair, &cells);
            let value = |row: &Vec<String>| row[column].parse::<i64>().unwrap();
            let name = pair.output.split(' ').next().unwrap();
            let named = value(cells[1..].iter().find(|row| row[0] == name).unwrap());
            let low = pair.instruction.contains("lowest") || pair.instruction.contains("smallest");
            assert!(
                cells[1..].iter().all(|row| if low {
                    named <= value(row)
                } else {
                    named >= value(row)
                }),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn filtered_names_are_those_beyond_the_limit() {
        for pair in draws(filter) {
            let cells = cells(&pair);
            let (column, question) = (asked_column(&pair, &cells), question(&pair));
            let limit = *integers(&question).last().unwrap();
            let over = question.contains("above ") && !question.contains("below ")
                || question.contains("greater");
            for row in &cells[1..] {
                let value: i64 = row[column].parse().unwrap();
                let listed = pair.output.split(", ").any(|name| name == row[0]);
                assert_eq!(
                    listed,
                    if over { value > limit } else { value < limit },
                    "{pair:?}"
                );
            }
        }
    }

    #[test]
    fn columns_and_totals_hold_every_row() {
        for pair in draws(column) {
            let cells = cells(&pair);
            let column = asked_column(&pair, &cells);
            assert!(
                pair.output
                    .split(", ")
                    .eq(cells[1..].iter().map(|row| row[column].as_str())),
                "{pair:?}"
            );
        }
        for pair in draws(total) {
            let cells = cells(&pair);
            let column = asked_column(&pair, &cells);
            let sum: i64 = cells[1..]
                .iter()
                .map(|row| row[column].parse::<i64>().unwrap())
                .sum();
            assert_eq!(*integers(&pair.output).last().unwrap(), sum, "{pair:?}");
        }
    }
}
