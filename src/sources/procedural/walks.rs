//! Walks on a grid: where they end and which way the walker looks.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::capitalised,
    people::person,
    phrasing::{Form, Prompt, pick},
    working::worked,
};

const WALK: &[&str] = &[
    "{who} starts at ({x}, {y}) on a grid, where east adds to x and north adds to y. {data} Where does {who} end up?",
    "On a map with x growing to the east and y to the north, {who} stands at ({x}, {y}). {data} What is the final position?",
    "A robot is at ({x}, {y}). North increases y and east increases x. {data} Give its final coordinates.",
    "Starting point ({x}, {y}); north is +y, east is +x. {data} Where is the end point?",
    "Follow the moves from ({x}, {y}), with north as +y and east as +x, and give the final coordinates.",
    "{who} begins at ({x}, {y}) and follows the directions below (north is +y, east is +x). Where does the walk end?",
    "Track the position: start at ({x}, {y}), where north raises y and east raises x. {data} Which point is reached?",
    "Where does this walk from ({x}, {y}) lead, if north adds to y and east adds to x? {data}",
    "A piece on a board stands at ({x}, {y}). Moving north adds to y, moving east adds to x. {data} Name the square it reaches, as coordinates.",
];

const TURNS: &[&str] = &[
    "{who} faces {facing}. {data} Which way does {who} face now?",
    "Facing {facing} at first, {who} does the following. {data} In which direction is {who} looking at the end?",
    "A robot faces {facing}. {data} Which direction does it face then?",
    "Start facing {facing}. {data} Name the final direction.",
    "{who} looks {facing}. After the turns below, which way does {who} look?",
    "Someone who faces {facing} turns as described. What is the final direction?",
    "Work out the final heading if the first heading is {facing}. {data}",
    "The boat is heading {facing}. {data} What is its heading now?",
    "You face {facing}. {data} Which compass direction is in front of you?",
];

const COMPASS: [&str; 4] = ["north", "east", "south", "west"];

/// Steps of a unit in each direction of the compass.
const STEPS: [(i64, i64); 4] = [(0, 1), (1, 0), (0, -1), (-1, 0)];

/// What a turn is called, and by how many quarters it goes round clockwise.
const QUARTERS: &[(&str, usize)] = &[
    ("turn right", 1),
    ("turn left", 3),
    ("turn around", 2),
    ("turn 90 degrees clockwise", 1),
    ("turn 90 degrees anticlockwise", 3),
];

/// Where a walk of a few moves ends.
pub(super) fn position(rng: &mut Rng) -> Pair {
    let (x, y) = (rng.random_range(-9..=9_i64), rng.random_range(-9..=9_i64));
    let n_moves = rng.random_range(2..=5);
    let moves: Vec<(usize, i64)> = (0..n_moves)
        .map(|_| (rng.random_range(0..4), rng.random_range(1..=9)))
        .collect();
    let told: Vec<String> = moves
        .iter()
        .map(|(to, n)| {
            format!(
                "{n} {} {}",
                if *n == 1 { "step" } else { "steps" },
                COMPASS[*to]
            )
        })
        .collect();
    let data = format!("Moves: {}.", told.join(", "));
    let (mut at, mut steps) = ((x, y), Vec::new());
    for ((to, n), words) in moves.iter().zip(&told) {
        at = (at.0 + n * STEPS[*to].0, at.1 + n * STEPS[*to].1);
        steps.push(format!(
            "{words} {} to ({}, {})",
            if *n == 1 { "leads" } else { "lead" },
            at.0,
            at.1
        ));
    }
    let form = Form::any(rng);
    let who = person(rng);
    let prompt =
        Prompt::new(rng, WALK, &data, &[("who", &who), ("x", &x), ("y", &y)]).in_form(form, rng);
    let conclusion = format!("The final position is ({}, {}).", at.0, at.1);
    prompt.answered(match form {
        Form::Bare => format!("({}, {})", at.0, at.1),
        Form::Sentence => conclusion,
        Form::Steps => worked(rng, &steps, &conclusion),
    })
}

/// Which way somebody faces after a few turns.
pub(super) fn heading(rng: &mut Rng) -> Pair {
    let start = rng.random_range(0..4);
    let n_turns = rng.random_range(2..=5);
    let turns: Vec<(&str, usize)> = (0..n_turns).map(|_| pick(rng, QUARTERS)).collect();
    let told: Vec<&str> = turns.iter().map(|(turn, _)| *turn).collect();
    let data = format!("Turns: {}.", told.join(", "));
    let (mut facing, mut steps) = (start, Vec::new());
    for (turn, quarters) in &turns {
        facing = (facing + quarters) % 4;
        steps.push(format!("{turn}, and the direction is {}", COMPASS[facing]));
    }
    let form = Form::any(rng);
    let who = person(rng);
    let prompt = Prompt::new(
        rng,
        TURNS,
        &data,
        &[("who", &who), ("facing", &COMPASS[start])],
    )
    .in_form(form, rng);
    let answer = COMPASS[facing];
    prompt.answered(match form {
        Form::Bare => capitalised(answer),
        Form::Sentence => format!("The direction at the end is {answer}."),
        Form::Steps => worked(rng, &steps, &format!("The final direction is {answer}.")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, wording};
    use super::*;

    #[test]
    fn walks_end_where_their_moves_add_up() {
        for pair in draws(position) {
            let text = wording(&pair);
            let start = &text[text.find('(').unwrap()..];
            let start = if integers(start).is_empty() {
                panic!("{pair:?}")
            } else {
                integers(start)
            };
            let moves = text
                .rsplit("Moves: ")
                .next()
                .unwrap()
                .split('.')
                .next()
                .unwrap();
            let along = |way: &str| -> i64 {
                moves
                    .split(", ")
                    .filter(|step| step.ends_with(way))
                    .map(|step| integers(step)[0])
                    .sum()
            };
            let end = [
                start[0] + along("east") - along("west"),
                start[1] + along("north") - along("south"),
            ];
            let said = integers(&pair.output);
            assert_eq!(said[said.len() - 2..], end, "{pair:?}");
        }
    }

    #[test]
    fn headings_count_quarter_turns() {
        for pair in draws(heading) {
            let text = wording(&pair);
            let turns = text
                .rsplit("Turns: ")
                .next()
                .unwrap()
                .split('.')
                .next()
                .unwrap();
            let first = text
                .split([' ', '.', ',', '?'])
                .find_map(|word| COMPASS.iter().position(|c| *c == word))
                .unwrap();
            let quarters: i64 = turns
                .split(", ")
                .map(|turn| match turn {
                    t if t.ends_with("right") || t.ends_with(" clockwise") => 1,
                    t if t.ends_with("around") => 2,
                    _ => -1,
                })
                .sum();
            let expected = COMPASS[(first as i64 + quarters).rem_euclid(4) as usize];
            assert!(
                pair.output
                    .to_lowercase()
                    .trim_end_matches('.')
                    .ends_with(expected),
                "{pair:?}"
            );
        }
    }
}
