//! Arithmetic told as a story, in one step or two.

use rand::Rng as _;

use super::{
    Pair, Rng,
    lexicon::{self, THINGS},
    people::two_people,
    phrasing::{Form, Prompt, fill, pick},
    working::worked,
};

/// One thing that happens, the question it raises and the sentence that answers it.
struct Story {
    change: Change,
    text: &'static str,
    question: &'static str,
    answer: &'static str,
}

/// What happens to the first number of a story.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Take,
    Times,
    Share,
}

/// The two numbers of a story in the order in which it tells them, and what comes out.
struct Sum {
    a: i64,
    b: i64,
    result: i64,
}

const STORIES: &[Story] = &[
    Story {
        change: Change::Add,
        text: "{who} has {a} {a_things} and finds {b} more.",
        question: "How many {things} does {who} have now?",
        answer: "{who} now has {n} {n_things}.",
    },
    Story {
        change: Change::Add,
        text: "{who} owns {a} {a_things}. For a birthday, {other} gives {who} another {b}.",
        question: "How many {things} does {who} own after the birthday?",
        answer: "{who} owns {n} {n_things} after the birthday.",
    },
    Story {
        change: Change::Add,
        text: "There were {a} {a_things} in the cupboard before {who} put in {b} more.",
        question: "How many {things} are in the cupboard?",
        answer: "The cupboard holds {n} {n_things}.",
    },
    Story {
        change: Change::Add,
        text: "{who} collected {a} {a_things} in the morning and {b} in the afternoon.",
        question: "How many {things} did {who} collect that day?",
        answer: "{who} collected {n} {n_things} that day.",
    },
    Story {
        change: Change::Take,
        text: "{who} starts the day with {a} {a_things} and gives {b} of them to {other}.",
        question: "How many {things} does {who} have left?",
        answer: "{who} has {n} {n_things} left.",
    },
    Story {
        change: Change::Take,
        text: "A shop had {a} {a_things} in stock and sold {b} of them to {who}.",
        question: "How many {things} are left in the shop?",
        answer: "The shop has {n} {n_things} left.",
    },
    Story {
        change: Change::Take,
        text: "{who} needs {a} {a_things} for a party but has only {b} so far.",
        question: "How many {things} are still missing?",
        answer: "{who} still needs {n} {n_things}.",
    },
    Story {
        change: Change::Take,
        text: "{who} has {a} {a_things}, while {other} has {b}.",
        question: "How many more {things} does {who} have than {other}?",
        answer: "{who} has {n} more {n_things} than {other}.",
    },
    Story {
        change: Change::Times,
        text: "{who} fills {a} bags and puts {b} {b_things} into each.",
        question: "How many {things} are in the bags altogether?",
        answer: "The bags hold {n} {n_things} altogether.",
    },
    Story {
        change: Change::Times,
        text: "On {a} shelves {who} arranges {b} {b_things} each.",
        question: "How many {things} does {who} arrange in total?",
        answer: "{who} arranges {n} {n_things} in total.",
    },
    Story {
        change: Change::Times,
        text: "For {a} weeks {who} buys {b} {b_things} each week.",
        question: "How many {things} does {who} buy in that time?",
        answer: "{who} buys {n} {n_things} in that time.",
    },
    Story {
        change: Change::Share,
        text: "{who} shares {a} {a_things} equally among {b} friends.",
        question: "How many {things} does every friend get?",
        answer: "Every friend gets {n} {n_things}.",
    },
    Story {
        change: Change::Share,
        text: "{a} {a_things} are packed equally into {b} boxes by {who}.",
        question: "How many {things} go into a box?",
        answer: "A box takes {n} {n_things}.",
    },
    Story {
        change: Change::Share,
        text: "{who} lays out {a} {a_things} equally over {b} rows.",
        question: "How many {things} are in a row?",
        answer: "A row has {n} {n_things}.",
    },
];

/// What may follow the first part of a two-step story; `{b}` is the number it brings.
const SEQUELS: &[(Change, &str, &str)] = &[
    (
        Change::Add,
        "Then {other} brings {c} more.",
        "the {c} that {other} brings",
    ),
    (
        Change::Add,
        "After that, {who} picks up {c} more.",
        "the {c} picked up",
    ),
    (
        Change::Add,
        "Later {who} buys {c} more at the market.",
        "the {c} from the market",
    ),
    (Change::Take, "Then {c} of them are lost.", "the {c} lost"),
    (
        Change::Take,
        "Then {who} gives {c} away.",
        "the {c} given away",
    ),
    (
        Change::Take,
        "Later {other} borrows {c} of them.",
        "the {c} borrowed",
    ),
];

/// How a two-step story begins: what happens, and the clause that explains the first result.
const BEGINNINGS: &[(Change, &str)] = &[
    (Change::Add, "{who} has {a} {a_things} and gets {b} more."),
    (
        Change::Add,
        "{who} puts {a} red and {b} blue {things} into a basket.",
    ),
    (
        Change::Take,
        "{who} has {a} {a_things} and sells {b} of them.",
    ),
    (Change::Take, "Of {a} {a_things}, {who} throws away {b}."),
    (
        Change::Times,
        "{who} buys {a} packs with {b} {b_things} each.",
    ),
    (
        Change::Times,
        "{who} fills {a} boxes with {b} {b_things} each.",
    ),
];

const END_QUESTIONS: &[&str] = &[
    "How many {things} does {who} have in the end?",
    "How many {things} does that leave {who} with?",
    "What number of {things} does {who} end up with?",
    "How many {things} has {who} got now?",
];

const ASK: &[&str] = &[
    "{data} {question}",
    "{data} {question}",
    "{data}\n{question}",
    "Solve this word problem: {data} {question}",
    "Here is a small problem. {data} {question}",
    "Read the story and answer. {data} {question}",
    "{question} You know this: {data}",
    "{question}",
    "Use the facts given to answer: {question}",
    "A pupil asks for help with this task: {data} {question}",
    "Answer the question about the story. {question}",
];

/// A story with one operation.
pub(super) fn one_step(rng: &mut Rng) -> Pair {
    let story = &STORIES[rng.random_range(0..STORIES.len())];
    let sum = Sum::draw(rng, story.change);
    let (things, [who, other]) = (lexicon::any(rng, &THINGS), two_people(rng));
    let tell = |template: &str| {
        fill(
            template,
            &[
                ("who", &who),
                ("other", &other),
                ("things", &things.plural),
                ("a", &sum.a),
                ("a_things", &things.for_count(sum.a)),
                ("b", &sum.b),
                ("b_things", &things.for_count(sum.b)),
                ("n", &sum.result),
                ("n_things", &things.for_count(sum.result)),
            ],
        )
    };
    let form = Form::any(rng);
    let (text, question, answer) = (tell(story.text), tell(story.question), tell(story.answer));
    let prompt = Prompt::new(rng, ASK, &text, &[("question", &question)]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => sum.result.to_string(),
        Form::Sentence => answer,
        Form::Steps => {
            let steps = [format!(
                "{}: {}",
                story.change.reason(),
                sum.equation(story.change)
            )];
            worked(rng, &steps, &answer)
        }
    })
}

/// A story with two operations, one after the other.
pub(super) fn two_steps(rng: &mut Rng) -> Pair {
    let (first_change, beginning) = pick(rng, BEGINNINGS);
    let first = Sum::draw(rng, first_change);
    let (change, sequel, why) = loop {
        let (change, sequel, why) = pick(rng, SEQUELS);
        if change == Change::Add || first.result > 3 {
            break (change, sequel, why);
        }
    };
    let c = match change {
        Change::Take => rng.random_range(2..first.result),
        _ => rng.random_range(2..=60),
    };
    let second = Sum::of(change, first.result, c);
    let (things, [who, other]) = (lexicon::any(rng, &THINGS), two_people(rng));
    let tell = |template: &str| {
        fill(
            template,
            &[
                ("who", &who),
                ("other", &other),
                ("things", &things.plural),
                ("a", &first.a),
                ("a_things", &things.for_count(first.a)),
                ("b", &first.b),
                ("b_things", &things.for_count(first.b)),
                ("c", &c),
            ],
        )
    };
    let form = Form::any(rng);
    let text = format!("{} {}", tell(beginning), tell(sequel));
    let question = tell(pick(rng, END_QUESTIONS));
    let prompt = Prompt::new(rng, ASK, &text, &[("question", &question)]).in_form(form, rng);
    let answer = format!("{who} ends up with {}.", things.counted(second.result));
    prompt.answered(match form {
        Form::Bare => second.result.to_string(),
        Form::Sentence => answer,
        Form::Steps => {
            let verb = if change == Change::Add {
                "add"
            } else {
                "take away"
            };
            let steps = [
                format!(
                    "after the first part there are {}",
                    first.equation(first_change)
                ),
                format!("now {verb} {}: {}", tell(why), second.equation(change)),
            ];
            worked(rng, &steps, &answer)
        }
    })
}

impl Sum {
    fn draw(rng: &mut Rng, change: Change) -> Sum {
        let (a, b) = match change {
            Change::Add => (rng.random_range(1..=95), rng.random_range(2..=95)),
            Change::Take => {
                let a = rng.random_range(5..=150);
                (a, rng.random_range(2..a))
            }
            Change::Times => (rng.random_range(2..=15), rng.random_range(2..=25)),
            Change::Share => {
                let b = rng.random_range(2..=14);
                (b * rng.random_range(1..=25), b)
            }
        };
        Sum::of(change, a, b)
    }

    fn of(change: Change, a: i64, b: i64) -> Sum {
        let result = match change {
            Change::Add => a + b,
            Change::Take => a - b,
            Change::Times => a * b,
            Change::Share => a / b,
        };
        Sum { a, b, result }
    }

    fn equation(&self, change: Change) -> String {
        format!("{} {} {} = {}", self.a, change.sign(), self.b, self.result)
    }
}

impl Change {
    fn sign(self) -> char {
        match self {
            Change::Add => '+',
            Change::Take => '-',
            Change::Times => '×',
            Change::Share => '÷',
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Change::Add => "the two amounts are added",
            Change::Take => "the smaller amount is taken from the larger one",
            Change::Times => "equal groups call for multiplication",
            Change::Share => "equal shares call for division",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, last_integer, wording};
    use super::*;

    /// Reads the operation off the words of the story rather than off the table.
    fn told(text: &str, a: i64, b: i64) -> i64 {
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if says(&["equally"]) {
            a / b
        } else if says(&[" each"]) {
            a * b
        } else if says(&[
            " of them to ",
            "has only",
            ", while ",
            "sells",
            "throws away",
        ]) {
            a - b
        } else {
            a + b
        }
    }

    #[test]
    fn one_step_stories_come_out_as_their_words_say() {
        for pair in draws(one_step) {
            let text = wording(&pair);
            let [a, b] = integers(&text)[..] else {
                panic!("{pair:?}")
            };
            let result = integers(&pair.output).into_iter().next_back().unwrap();
            assert_eq!(result, told(&text, a, b), "{pair:?}");
        }
    }

    #[test]
    fn two_step_stories_come_out_as_their_words_say() {
        for pair in draws(two_steps) {
            let text = wording(&pair);
            let [a, b, c] = integers(&text)[..] else {
                panic!("{pair:?}")
            };
            let start = text.find(&format!("{b}")).unwrap();
            let sequel = text[start..].find(". ").map(|dot| start + dot).unwrap();
            let first = told(&text[..sequel], a, b);
            let gains = [" brings ", " picks up ", "at the market"]
                .iter()
                .any(|words| text.contains(words));
            let expected = if gains { first + c } else { first - c };
            assert_eq!(last_integer(&pair.output), expected, "{pair:?}");
        }
    }
}
