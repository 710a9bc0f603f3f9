//! Ways to write a number: other bases, Roman numerals, words.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::grouped,
    phrasing::{Form, Prompt, pick},
    working::worked,
};

const BASE: &[&str] = &[
    "Convert {data} from {from} to {to}.",
    "Write the {from} number {data} in {to}.",
    "What is the {from} number {data} in {to}?",
    "The {from} number {data} is to be written in {to}. What does it look like?",
    "Change {data}, a {from} number, into {to}.",
    "Express {data} ({from}) in {to}.",
    "How do you write {from} {data} in {to}?",
    "Translate the number {data} from {from} into {to}.",
    "Convert the {from} number to {to}.",
    "Rewrite this {from} number in {to}.",
];

const TO_ROMAN: &[&str] = &[
    "Write {n} in Roman numerals.",
    "What is {n} as a Roman numeral?",
    "Convert {n} to Roman numerals.",
    "How would the Romans have written {n}?",
    "Give the Roman numeral for {n}.",
    "A clockmaker wants to engrave the number {n} in Roman numerals. What should it read?",
    "Turn the number {n} into a Roman numeral.",
    "Express {n} in Roman numerals.",
    "I need {n} in Roman numerals, please.",
];

const FROM_ROMAN: &[&str] = &[
    "What number is {n}?",
    "Convert the Roman numeral {n} to a decimal number.",
    "Read the Roman numeral {n}.",
    "A stone carries the inscription {n}. Which number is that?",
    "What does {n} mean as a Roman numeral?",
    "Write {n} with ordinary digits.",
    "Decode the Roman numeral {n}.",
    "How much is {n} in Arabic numerals?",
    "Which number do the Roman numerals {n} stand for?",
];

const TO_WORDS: &[&str] = &[
    "Write {n} in words.",
    "Spell out the number {n}.",
    "How do you say {n} in English?",
    "Put the number {n} into words.",
    "What is {n} written out in full?",
    "For a cheque I need {n} in words. What do I write?",
    "Write out the number {n} using words only.",
    "Express {n} as English words.",
    "Please spell {n} as words.",
];

const FROM_WORDS: &[&str] = &[
    "Write the number {n} in digits.",
    "Which number is {n}?",
    "Convert \"{n}\" to digits.",
    "Give the digits for {n}.",
    "How is {n} written as a numeral?",
    "Turn these words into a number: {n}",
    "Somebody dictates \"{n}\". Write it down in figures.",
    "Express {n} with digits.",
    "What is {n} in figures?",
];

const ROMAN: &[(i64, &str)] = &[
    (1_000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

const UNDER_TWENTY: &[&str] = &[
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TENS: &[&str] = &[
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

/// A number from one base in another; one of the two is always decimal.
pub(super) fn base(rng: &mut Rng) -> Pair {
    let n: u32 = rng.random_range(16..=4_095);
    let (radix, name) = pick(
        rng,
        &[
            (2, "binary"),
            (8, "octal"),
            (16, "hexadecimal"),
            (2, "binary"),
        ],
    );
    let n = if radix == 2 { n % 500 + 4 } else { n };
    let to_decimal = rng.random_bool(0.5);
    let digits = in_base(n, radix);
    let (from, to, data, answer) = if to_decimal {
        (name, "decimal", digits.clone(), n.to_string())
    } else {
        ("decimal", name, n.to_string(), digits.clone())
    };
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, BASE, &data, &[("from", &from), ("to", &to)]).in_form(form, rng);
    let conclusion = format!("In {to} that is {answer}.");
    prompt.answered(match form {
        Form::Bare => answer,
        Form::Sentence => format!("The {from} number {data} is {answer} in {to}."),
        Form::Steps if to_decimal => worked(rng, &place_values(&digits, radix, n), &conclusion),
        Form::Steps => worked(rng, &repeated_division(n, radix), &conclusion),
    })
}

/// A Roman numeral from a number, or the other way round.
pub(super) fn roman(rng: &mut Rng) -> Pair {
    let n = rng.random_range(1..=3_999_i64);
    let numeral = roman_numeral(n);
    let form = Form::any(rng);
    let to_roman = rng.random_bool(0.5);
    let prompt = if to_roman {
        Prompt::new(rng, TO_ROMAN, "", &[("n", &n)])
    } else {
        Prompt::new(rng, FROM_ROMAN, "", &[("n", &numeral)])
    }
    .in_form(form, rng);
    let (answer, conclusion) = match to_roman {
        true => (
            numeral.clone(),
            format!("{n} is {numeral} in Roman numerals."),
        ),
        false => (
            n.to_string(),
            format!("The Roman numeral {numeral} stands for {n}."),
        ),
    };
    prompt.answered(match form {
        Form::Bare => answer,
        Form::Sentence => conclusion,
        Form::Steps => worked(rng, &roman_parts(n, to_roman), &conclusion),
    })
}

/// A number written in words, or read from them.
pub(super) fn words(rng: &mut Rng) -> Pair {
    // Every length of number is as likely as any other.
    let n_digits = rng.random_range(2..=6_u32);
    let n: u64 = rng.random_range(10_u64.pow(n_digits - 1)..10_u64.pow(n_digits));
    let spelled = number_words(n);
    let form = Form::brief(rng);
    if rng.random_bool(0.6) {
        let figure = if rng.random_bool(0.5) {
            grouped(n)
        } else {
            n.to_string()
        };
        let prompt = Prompt::new(rng, TO_WORDS, "", &[("n", &figure)]).in_form(form, rng);
        return prompt.answered(match form {
            Form::Bare => spelled,
            _ => format!("In words, {figure} is {spelled}."),
        });
    }
    let prompt = Prompt::new(rng, FROM_WORDS, "", &[("n", &spelled)]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => n.to_string(),
        _ => format!("In digits, {spelled} is {n}."),
    })
}

fn in_base(n: u32, radix: u32) -> String {
    match radix {
        2 => format!("{n:b}"),
        8 => format!("{n:o}"),
        _ => format!("{n:X}"),
    }
}

fn place_values(digits: &str, radix: u32, n: u32) -> Vec<String> {
    let mut place = radix.pow(digits.len() as u32 - 1);
    let mut terms = Vec::new();
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        if digit > 0 {
            terms.push(format!("{digit} × {place}"));
        }
        place /= radix;
    }
    vec![format!(
        "each digit counts a power of {radix}: {} = {n}",
        terms.join(" + ")
    )]
}

fn repeated_division(n: u32, radix: u32) -> Vec<String> {
    let mut rest = n;
    let mut divisions = Vec::new();
    while rest > 0 {
        let remainder = rest % radix;
        let digit = if remainder > 9 {
            format!(" ({})", in_base(remainder, radix))
        } else {
            String::new()
        };
        divisions.push(format!(
            "{rest} ÷ {radix} = {} remainder {remainder}{digit}",
            rest / radix
        ));
        rest /= radix;
    }
    vec![
        format!(
            "divide by {radix} until nothing is left: {}",
            divisions.join(", ")
        ),
        "read the remainders from last to first".to_owned(),
    ]
}

fn roman_numeral(n: i64) -> String {
    let mut rest = n;
    let mut numeral = String::new();
    for (value, letters) in ROMAN {
        while rest >= *value {
            numeral.push_str(letters);
            rest -= value;
        }
    }
    numeral
}

/// One step for each decimal digit that is not zero.
fn roman_parts(n: i64, to_roman: bool) -> Vec<String> {
    let places = [1_000, 100, 10, 1].map(|place| n / place % 10 * place);
    let parts: Vec<i64> = places.into_iter().filter(|part| *part > 0).collect();
    let relation = |part: &i64| match to_roman {
        true => format!("{part} is {}", roman_numeral(*part)),
        false => format!("{} is {part}", roman_numeral(*part)),
    };
    parts.iter().map(relation).collect()
}

/// The number in British English words, below a million.
fn number_words(n: u64) -> String {
    let (thousands, rest) = (n / 1_000, n % 1_000);
    if thousands == 0 {
        return below_thousand(rest);
    }
    let head = format!("{} thousand", below_thousand(thousands));
    match rest {
        0 => head,
        1..=99 => format!("{head} and {}", below_thousand(rest)),
        _ => format!("{head} {}", below_thousand(rest)),
    }
}

fn below_thousand(n: u64) -> String {
    let (hundreds, rest) = ((n / 100) as usize, n % 100);
    match (hundreds, rest) {
        (0, _) => below_hundred(rest),
        (_, 0) => format!("{} hundred", UNDER_TWENTY[hundreds]),
        _ => format!(
            "{} hundred and {}",
            UNDER_TWENTY[hundreds],
            below_hundred(rest)
        ),
    }
}

fn below_hundred(n: u64) -> String {
    let n = n as usize;
    match (n / 10, n % 10) {
        (0 | 1, _) => UNDER_TWENTY[n].to_owned(),
        (tens, 0) => TENS[tens].to_owned(),
        (tens, ones) => format!("{}-{}", TENS[tens], UNDER_TWENTY[ones]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, wording};
    use super::*;

    fn words_of(text: &str) -> impl DoubleEndedIterator<Item = &str> {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
    }

    #[test]
    fn bases_are_read_back_by_the_standard_library() {
        let is_number = |word: &&str| {
            word.chars()
                .all(|c| c.is_ascii_digit() || ('A'..='F').contains(&c))
        };
        for pair in draws(base) {
            let text = wording(&pair);
            let radixes = [("binary", 2), ("octal", 8), ("hexadecimal", 16)];
            let (_, radix) = radixes
                .iter()
                .find(|(name, _)| text.contains(name))
                .unwrap();
            let given = words_of(&text).rfind(is_number).unwrap();
            let answer = words_of(&pair.output).rfind(is_number).unwrap();
            let agree = |from, to| {
                u32::from_str_radix(given, from)
                    .is_ok_and(|n| Ok(n) == u32::from_str_radix(answer, to))
            };
            assert!(agree(10, *radix) || agree(*radix, 10), "{pair:?}");
        }
    }

    /// Adds letters from right to left, subtracting those that stand before a larger one.
    fn value_of(numeral: &str) -> i64 {
        let mut largest = 0;
        let value = |c| {
            [
                ('I', 1),
                ('V', 5),
                ('X', 10),
                ('L', 50),
                ('C', 100),
                ('D', 500),
                ('M', 1_000),
            ]
            .iter()
            .find(|(letter, _)| *letter == c)
            .map_or(0, |(_, value)| *value)
        };
        numeral.chars().rev().map(value).fold(0, |sum, value| {
            largest = largest.max(value);
            if value < largest {
                sum - value
            } else {
                sum + value
            }
        })
    }

    #[test]
    fn roman_numerals_add_up() {
        for pair in draws(roman) {
            let given = integers(&pair.instruction);
            let (n, text) = match given[..] {
                [n] => (n, &pair.output),
                _ => (*integers(&pair.output).last().unwrap(), &pair.instruction),
            };
            let is_numeral = |word: &&str| word.chars().all(|c| "IVXLCDM".contains(c));
            // The pronoun "I" looks like a numeral, so the longest one counts.
            let numeral = words_of(text)
                .filter(is_numeral)
                .max_by_key(|word| (word.len(), *word != "I"));
            assert_eq!(numeral.map(value_of), Some(n), "{pair:?}");
        }
    }

    /// Reads number words by accumulating: hundreds multiply, thousands close a group.
    fn read_words(text: &str) -> u64 {
        let (mut total, mut group) = (0, 0);
        for word in text.split([' ', '-']) {
            let small = UNDER_TWENTY.iter().position(|w| *w == word);
            let tens = TENS.iter().position(|w| *w == word && !w.is_empty());
            match word {
                "hundred" => group *= 100,
                "thousand" => (total, group) = (group * 1_000, 0),
                _ => group += small.or(tens.map(|t| t * 10)).unwrap_or(0) as u64,
            }
        }
        total + group
    }

    #[test]
    fn number_words_read_back_as_the_number() {
        for n in (0..1_000_000).step_by(37) {
            assert_eq!(read_words(&number_words(n)), n);
        }
        assert_eq!(
            number_words(120_007),
            "one hundred and twenty thousand and seven"
        );
    }

    #[test]
    fn numbers_in_words_are_those_in_digits() {
        for pair in draws(words) {
            let digits = |text: &str| {
                let digits: String = text.chars().filter(char::is_ascii_digit).collect();
                digits.parse::<u64>().ok()
            };
            let is_to_words = digits(&pair.instruction).is_some();
            let (figure, spelled) = match is_to_words {
                true => (digits(&pair.instruction), &pair.output),
                false => (digits(&pair.output), &pair.instruction),
            };
            let is_of_number = |word: &&str| {
                UNDER_TWENTY.contains(word)
                    || TENS.contains(word)
                    || ["hundred", "thousand", "and"].contains(word)
            };
            // The other words of a sentence are none of a number, but for the wish for one sentence.
            let spelled = spelled.replace("one complete sentence", "");
            let words: Vec<&str> = words_of(&spelled).filter(is_of_number).collect();
            let number = Some(read_words(&words.join(" ")));
            assert_eq!(number, figure, "{pair:?}");
        }
    }
}
