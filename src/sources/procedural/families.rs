//! What can be drawn: every family with its group and its difficulty.

use super::{Pair, Rng};
use super::{
    clock, conversions, counting, dates, edits, expressions, factors, kinds, layouts, logic,
    measurements, money, numerals, objects, records, sequences, sets, sorting, spelling,
    statistics, stories, tables, units, vocabulary, walks,
};

use Difficulty::{Easy, Hard, Medium};
use Group::{Data, Formats, Logic, Math, Text, Time, Words};

/// A kind of question that can be drawn without end.
#[derive(Debug)]
pub struct Family {
    /// The topic it belongs to.
    pub group: Group,
    /// How much has to be worked out for an answer.
    pub difficulty: Difficulty,
    /// The name a recipe selects it by.
    pub name: &'static str,
    /// What its pairs ask for, in a phrase.
    pub about: &'static str,
    /// Draws a pair.
    pub sample: fn(&mut Rng) -> Pair,
}

/// A topic. Every family belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Numbers.
    Math,
    /// Dates and clocks.
    Time,
    /// Strings.
    Text,
    /// Vocabulary.
    Words,
    /// Tables and records.
    Data,
    /// JSON, YAML and the like.
    Formats,
    /// Reasoning.
    Logic,
}

/// How much has to be worked out for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difficulty {
    /// It is known or read off, or takes one step.
    Easy,
    /// It takes a few steps, or a look at every item of the input.
    Medium,
    /// It takes many steps, or several things have to be kept in mind together.
    Hard,
}

impl Group {
    /// Every group, in the order of [`FAMILIES`].
    pub const ALL: [Group; 7] = [Math, Time, Text, Words, Data, Formats, Logic];

    /// The name a recipe selects it by.
    pub fn name(self) -> &'static str {
        match self {
            Math => "math",
            Time => "time",
            Text => "text",
            Words => "words",
            Data => "data",
            Formats => "formats",
            Logic => "logic",
        }
    }

    /// What its families are about, in a phrase.
    pub fn about(self) -> &'static str {
        match self {
            Math => "numbers: calculation, word problems, prices, units, numerals and sequences",
            Time => "dates, days of the week and times of day",
            Text => "letters, words and sentences that are counted, edited, sorted or taken apart",
            Words => "what words mean, which kind they are of and which forms they take",
            Data => "questions about tables, lists and records",
            Formats => {
                "answers in a format that is described: JSON, YAML, CSV, Markdown tables, lists and lines"
            }
            Logic => "puzzles, arguments, claims and walks",
        }
    }
}

impl Difficulty {
    /// Every difficulty, from the least.
    pub const ALL: [Difficulty; 3] = [Easy, Medium, Hard];

    /// The name a recipe selects it by.
    pub fn name(self) -> &'static str {
        match self {
            Easy => "easy",
            Medium => "medium",
            Hard => "hard",
        }
    }
}

/// Every family, by group. The order is part of the stream: a new family changes which one each row draws.
pub const FAMILIES: &[Family] = &[
    family(
        Math,
        Medium,
        "arithmetic_expression",
        "the value of an expression of two to four numbers",
        expressions::expression,
    ),
    family(
        Math,
        Medium,
        "division_with_remainder",
        "quotient and remainder",
        expressions::division,
    ),
    family(
        Math,
        Hard,
        "fractions",
        "sums, differences and products of two fractions, reduced",
        expressions::fractions,
    ),
    family(
        Math,
        Easy,
        "story_one_step",
        "word problems with one operation",
        stories::one_step,
    ),
    family(
        Math,
        Medium,
        "story_two_steps",
        "word problems with two operations",
        stories::two_steps,
    ),
    family(
        Math,
        Medium,
        "percentage",
        "a percentage of a number",
        money::percentage,
    ),
    family(
        Math,
        Medium,
        "price_change",
        "a price that rises or falls by a percentage",
        money::price_change,
    ),
    family(
        Math,
        Hard,
        "shopping_bill",
        "the total of a purchase, or the change",
        money::bill,
    ),
    family(
        Math,
        Easy,
        "unit_conversion",
        "lengths, weights, volumes, durations and sizes in other units",
        units::conversion,
    ),
    family(
        Math,
        Medium,
        "temperature",
        "Celsius in Fahrenheit and back",
        units::temperature,
    ),
    family(
        Math,
        Hard,
        "number_base",
        "binary, octal and hexadecimal from and to decimal",
        numerals::base,
    ),
    family(
        Math,
        Medium,
        "roman_numeral",
        "Roman numerals from and to numbers",
        numerals::roman,
    ),
    family(
        Math,
        Easy,
        "number_words",
        "numbers in words and in digits",
        numerals::words,
    ),
    family(
        Math,
        Hard,
        "prime",
        "whether a number is prime, and why",
        factors::prime,
    ),
    family(
        Math,
        Hard,
        "prime_factors",
        "the prime factorisation of a number",
        factors::factorisation,
    ),
    family(
        Math,
        Hard,
        "common_divisor_multiple",
        "the greatest common divisor or least common multiple",
        factors::common,
    ),
    family(
        Math,
        Hard,
        "divisors",
        "all divisors of a number",
        factors::divisors,
    ),
    family(
        Math,
        Medium,
        "summary_statistic",
        "largest, smallest, median, mean, range or sum of a list",
        statistics::summary,
    ),
    family(
        Math,
        Easy,
        "number_comparison",
        "the larger or smaller of two numbers that look alike",
        statistics::comparison,
    ),
    family(
        Math,
        Medium,
        "number_sequence",
        "the next number of a sequence",
        sequences::numbers,
    ),
    family(
        Math,
        Medium,
        "sort_numbers",
        "numbers in ascending or descending order",
        sorting::numbers,
    ),
    family(
        Math,
        Medium,
        "count_matching",
        "how many numbers of a list have a property",
        counting::matching,
    ),
    family(
        Time,
        Hard,
        "days_between",
        "the number of days between two dates",
        dates::days_between,
    ),
    family(
        Time,
        Hard,
        "weekday",
        "the day of the week of a date",
        dates::weekday,
    ),
    family(
        Time,
        Hard,
        "add_days",
        "the date some days before or after another",
        dates::add_days,
    ),
    family(
        Time,
        Easy,
        "leap_year",
        "whether a year is a leap year, and by which rule",
        dates::leap_year,
    ),
    family(
        Time,
        Easy,
        "date_format",
        "a date rewritten after a model",
        dates::reformat,
    ),
    family(
        Time,
        Medium,
        "clock_add",
        "a time of day after a duration",
        clock::add,
    ),
    family(
        Time,
        Medium,
        "clock_elapsed",
        "the time between two times of day",
        clock::elapsed,
    ),
    family(
        Time,
        Easy,
        "clock_notation",
        "12-hour times in 24-hour notation and back",
        clock::notation,
    ),
    family(
        Time,
        Medium,
        "duration_total",
        "the sum of three durations",
        clock::total,
    ),
    family(
        Text,
        Medium,
        "count_letters",
        "how often a letter occurs in a sentence",
        counting::letters,
    ),
    family(
        Text,
        Medium,
        "count_words",
        "the number of words of a text",
        counting::words,
    ),
    family(
        Text,
        Medium,
        "letter_edit",
        "a phrase edited letter by letter",
        edits::letters,
    ),
    family(
        Text,
        Medium,
        "word_edit",
        "a sentence edited word by word",
        edits::words,
    ),
    family(
        Text,
        Medium,
        "anagram",
        "whether two strings have the same letters",
        spelling::anagram,
    ),
    family(
        Text,
        Easy,
        "spell_out",
        "a word taken apart into letters",
        spelling::spell_out,
    ),
    family(
        Text,
        Easy,
        "letter_at",
        "the letter at a place in a word",
        spelling::letter_at,
    ),
    family(
        Text,
        Medium,
        "letter_sequence",
        "the next entry of an alphabet sequence",
        sequences::letters,
    ),
    family(
        Text,
        Medium,
        "sort_words",
        "words by the alphabet or by length",
        sorting::words,
    ),
    family(
        Words,
        Easy,
        "classify_word",
        "the kind of thing that a word names",
        kinds::classify,
    ),
    family(
        Words,
        Medium,
        "odd_one_out",
        "the word of another kind than the rest",
        kinds::odd_one_out,
    ),
    family(
        Words,
        Medium,
        "group_words",
        "mixed words sorted by kind",
        kinds::group,
    ),
    family(
        Words,
        Medium,
        "pick_out_words",
        "the words of one kind among others",
        kinds::pick_out,
    ),
    family(
        Words,
        Easy,
        "define_word",
        "what a word means",
        vocabulary::define,
    ),
    family(
        Words,
        Easy,
        "find_word",
        "the word that fits a definition",
        vocabulary::name_it,
    ),
    family(
        Words,
        Easy,
        "opposites",
        "opposites of a few words",
        vocabulary::opposites,
    ),
    family(
        Words,
        Easy,
        "verb_forms",
        "past tenses and participles",
        vocabulary::verb_forms,
    ),
    family(
        Data,
        Easy,
        "table_lookup",
        "one cell of a table",
        tables::look_up,
    ),
    family(
        Data,
        Easy,
        "table_extreme",
        "the row with the highest or lowest number",
        tables::extreme,
    ),
    family(
        Data,
        Medium,
        "table_filter",
        "the rows whose number is above or below a limit",
        tables::filter,
    ),
    family(
        Data,
        Easy,
        "table_column",
        "all cells of a column",
        tables::column,
    ),
    family(
        Data,
        Medium,
        "table_total",
        "the sum of a column",
        tables::total,
    ),
    family(
        Data,
        Easy,
        "record_field",
        "one field of a key-value record",
        records::read,
    ),
    family(
        Data,
        Medium,
        "record_profile",
        "a record turned into a few sentences",
        records::profile,
    ),
    family(
        Data,
        Medium,
        "set_operation",
        "union, intersection or difference of two lists",
        sets::operation,
    ),
    family(
        Formats,
        Easy,
        "record_format",
        "a record written in a shape that is described",
        records::format,
    ),
    family(
        Formats,
        Easy,
        "json_object",
        "facts of a sentence as a JSON object whose keys are described",
        objects::object,
    ),
    family(
        Formats,
        Hard,
        "json_nested",
        "facts of a sentence as an object inside another",
        objects::nested,
    ),
    family(
        Formats,
        Medium,
        "json_list",
        "items of a sentence as an array in a JSON object",
        objects::list,
    ),
    family(
        Formats,
        Hard,
        "json_array",
        "lines of text as an array of JSON objects",
        objects::array,
    ),
    family(
        Formats,
        Hard,
        "json_numbers",
        "results of calculations as a JSON object",
        measurements::numbers,
    ),
    family(
        Formats,
        Medium,
        "json_sentence",
        "what can be found out about a sentence as a JSON object",
        measurements::text,
    ),
    family(
        Formats,
        Easy,
        "json_value",
        "one value of an array of objects",
        conversions::json_value,
    ),
    family(
        Formats,
        Easy,
        "json_to_sentence",
        "a JSON object in plain English",
        conversions::json_to_sentence,
    ),
    family(
        Formats,
        Medium,
        "json_to_yaml",
        "a JSON document in YAML",
        conversions::json_to_yaml,
    ),
    family(
        Formats,
        Medium,
        "yaml_to_json",
        "a YAML document in JSON",
        conversions::yaml_to_json,
    ),
    family(
        Formats,
        Medium,
        "json_to_csv",
        "JSON objects as CSV with a header",
        conversions::json_to_csv,
    ),
    family(
        Formats,
        Medium,
        "csv_to_json",
        "rows of CSV as JSON objects",
        conversions::csv_to_json,
    ),
    family(
        Formats,
        Hard,
        "markdown_to_json",
        "a Markdown table as JSON keyed by its first column",
        conversions::markdown_to_json,
    ),
    family(
        Formats,
        Medium,
        "yaml_document",
        "facts of a text as YAML whose keys are described",
        layouts::yaml,
    ),
    family(
        Formats,
        Hard,
        "markdown_table",
        "lines of text as a Markdown table whose columns are described",
        layouts::table,
    ),
    family(
        Formats,
        Easy,
        "list_layout",
        "an enumeration as a bulleted, numbered or plain list",
        layouts::list,
    ),
    family(
        Formats,
        Easy,
        "key_value_lines",
        "facts of a sentence as lines of key and value",
        layouts::lines,
    ),
    family(
        Logic,
        Hard,
        "ordering_puzzle",
        "who is first or last, from clues about pairs",
        logic::ordering,
    ),
    family(
        Logic,
        Hard,
        "syllogism",
        "whether a conclusion follows from two premises",
        logic::syllogism,
    ),
    family(
        Logic,
        Medium,
        "statement_truth",
        "whether a statement made of two claims is true",
        logic::truth,
    ),
    family(
        Logic,
        Hard,
        "grid_walk",
        "where a walk on a grid ends",
        walks::position,
    ),
    family(
        Logic,
        Medium,
        "compass_turns",
        "which way somebody faces after a few turns",
        walks::heading,
    ),
];

const fn family(
    group: Group,
    difficulty: Difficulty,
    name: &'static str,
    about: &'static str,
    sample: fn(&mut Rng) -> Pair,
) -> Family {
    Family {
        group,
        difficulty,
        name,
        about,
        sample,
    }
}
