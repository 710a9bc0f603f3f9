//! Wordings by a language model, in the directions that the rules would take.

use std::collections::BTreeMap;

use crate::config::BuildConfig;
use crate::error::Result;
use crate::reword::{Direction, Original, Wording, Wordings};

use super::super::model::{Goal, Model, said, unfenced};
use super::super::stages::{Stage, Stages};
use super::{Instruction, read, short_of_budget};

/// What a model and the rules came to.
pub(super) struct Asked {
    /// The wordings of each instruction.
    pub(super) wordings: Vec<(i64, Vec<Wording>)>,
    /// What decides them.
    pub(super) key: String,
    pub(super) note: String,
    pub(super) replaced: BTreeMap<String, u64>,
}

/// Asks for every wording that the samples need. One that breaks a rule is replaced by one of our own, in the same direction
/// where there is one.
///
/// # Errors
/// When the model gives no answers, and an error where its budget ends.
pub(super) async fn wordings(
    stages: &Stages<'_>,
    config: &BuildConfig,
    instructions: &Stage,
    variants: u32,
    model: &Model<'_>,
) -> Result<Asked> {
    let mut wanted = Vec::new();
    for batch in read(stages, instructions, variants)? {
        wanted.extend(batch?);
    }
    let tokens = &config.special_tokens;
    let n_planned = wanted.iter().map(|wanted| wanted.n_wanted as u64).sum();
    // A message is written when its turn comes.
    let plan = wanted.iter().flat_map(
        |Instruction {
             original, n_wanted, ..
         }| {
            let wordings = Wordings::for_model(original, tokens, config.seed);
            (0..*n_wanted as u64).map(move |place| {
                let message = message(original, wordings.direction(place), tokens);
                (ordinal(original, place), message)
            })
        },
    );
    let before = model.asked();
    let goal = Goal {
        what: "wordings",
        kept: 0,
        wanted: n_planned,
    };
    let (mut answers, ended) = model.ask(plan, goal, |_| true).await?;
    short_of_budget(ended, goal, answers.len() as u64, model, before)?;
    let (mut found, mut hasher, mut replaced) =
        (Vec::new(), blake3::Hasher::new(), BTreeMap::new());
    let (mut n_kept, mut n_own) = (0_u64, 0);
    for Instruction {
        idx,
        original,
        n_wanted,
    } in &wanted
    {
        let mut wordings = Wordings::for_model(original, tokens, config.seed);
        let mut of_instruction = Vec::new();
        for place in 0..*n_wanted as u64 {
            let direction = wordings.direction(place);
            let text = answers
                .remove(&ordinal(original, place))
                .map_or(Err("no answer"), said)
                .map(|text| unwrapped(&text));
            let accepted = text.and_then(|text| wordings.accept(&text).map(|()| text));
            match accepted {
                Ok(text) => {
                    n_kept += 1;
                    of_instruction.push(Wording {
                        direction: &direction.name,
                        text,
                    });
                }
                Err(why) => {
                    *replaced.entry(why.to_owned()).or_insert(0) += 1;
                    let own = wordings.draw(direction);
                    let own = own.or_else(|| wordings.next(1).pop());
                    n_own += u64::from(own.is_some());
                    of_instruction.extend(own);
                }
            }
        }
        hasher
            .update(&idx.to_le_bytes())
            .update(&(of_instruction.len() as u64).to_le_bytes());
        for wording in &of_instruction {
            hasher.update(wording.direction.as_bytes()).update(&[0]);
            hasher.update(wording.text.as_bytes()).update(&[0]);
        }
        found.push((*idx, of_instruction));
    }
    let mut note = format!(
        "rewording: {}; {n_kept} of {n_planned} wordings kept",
        model.spent(before)
    );
    for (why, n) in &replaced {
        note.push_str(&format!(", {n} × {why}"));
    }
    if n_own > 0 {
        note.push_str(&format!("; {n_own} are by rules in their place"));
    }
    Ok(Asked {
        wordings: found,
        key: hasher.finalize().to_hex().to_string(),
        note,
        replaced,
    })
}

/// Where a wording stands in the plan: the same wherever its instruction comes among others.
fn ordinal(original: &Original, place: u64) -> u64 {
    let hash = blake3::Hasher::new_derive_key("delia rewording plan v1")
        .update(&place.to_le_bytes())
        .update(&[u8::from(original.has_input)])
        .update(original.text.as_bytes())
        .finalize();
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash is longer"))
}

fn message(original: &Original, direction: &Direction, special_tokens: &[String]) -> String {
    let tokens: Vec<_> = special_tokens
        .iter()
        .filter(|token| original.text.contains(token.as_str()))
        .map(|token| format!("`{token}`"))
        .collect();
    let tokens = match tokens.is_empty() {
        true => String::new(),
        false => format!(
            "Keep {} exactly as often as it stands there. ",
            tokens.join(", ")
        ),
    };
    let input = match original.has_input {
        true => "It will be followed by material that you do not see. ",
        false => "",
    };
    format!(
        "Between the lines stands an instruction for somebody else. {input}Say it in another way: {} What is asked for, and all \
         that is said about the answer, stays the same; nothing is added and nothing left out. {tokens}Numbers, names, quotations \
         and everything in brackets stay as they are. Do not carry it out.\n\n---\n{}\n---\n\nAnswer with the new instruction and \
         nothing else.",
        direction.ask, original.text
    )
}

/// A wording without the wrapping that a model was told to leave out.
fn unwrapped(text: &str) -> String {
    let mut text = unfenced(text.trim());
    for (opens, closes) in [("---", "---"), ("\"", "\""), ("“", "”")] {
        let inside = text
            .strip_prefix(opens)
            .and_then(|rest| rest.strip_suffix(closes));
        text = inside.map_or(text, str::trim);
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wording_is_taken_out_of_its_wrapping() {
        for wrapped in [
            "Do it.",
            " Do it.\n",
            "\"Do it.\"",
            "```text\nDo it.\n```",
            "---\nDo it.\n---",
        ] {
            assert_eq!(unwrapped(wrapped), "Do it.");
        }
    }

    #[test]
    fn a_place_is_of_the_instruction_alone() {
        let original = |text: &str, has_input| Original {
            text: text.to_owned(),
            has_input,
            keys: Vec::new(),
        };
        let first = ordinal(&original("Do it.", true), 0);
        assert_eq!(first, ordinal(&original("Do it.", true), 0));
        for other in [
            ordinal(&original("Do it.", false), 0),
            ordinal(&original("Do it.", true), 1),
            ordinal(&original("Do.", true), 0),
        ] {
            assert_ne!(first, other);
        }
    }
}
