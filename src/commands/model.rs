//! The language model of a build: one client for all that it is asked for, so that a budget holds for all of it.

use std::collections::BTreeMap;

use crate::config::{BuildConfig, LlmConfig};
use crate::error::Result;
use crate::llm::{Asked, Client, Ended, Message, Outcome, Request, Role};
use crate::sources::{Access, Source};

use super::build::Progress;

/// Why there are fewer answers than were asked for, and what to do about it.
pub(super) const BUDGET_SPENT: &str = "the budget is spent";
pub(super) const LARGER_BUDGET: &str = "no shard was written, and every answer is kept: with a larger budget the command goes on from here";

/// What a model said.
///
/// # Errors
/// Why there is nothing to take: it was refused, is empty, or breaks off.
pub(super) fn said(outcome: Outcome) -> std::result::Result<String, &'static str> {
    match outcome {
        Outcome::Refused(_) => Err("a request refused"),
        Outcome::Answered(answer) if answer.finish_reason.as_deref() == Some("length") => {
            Err("an answer that breaks off")
        }
        Outcome::Answered(answer) if answer.text.trim().is_empty() => Err("an empty answer"),
        Outcome::Answered(answer) => Ok(answer.text.trim().to_owned()),
    }
}

/// A text without the block of code around it.
pub(super) fn unfenced(text: &str) -> &str {
    let inside = text
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"));
    // Behind the opening may stand a language.
    let inside = inside.and_then(|inside| Some(inside.split_once('\n')?.1));
    inside.map_or(text, str::trim)
}

/// A language model that can be asked.
pub(super) struct Model<'a> {
    llm: &'a LlmConfig,
    seed: u64,
    client: Client,
    progress: &'a dyn Fn(Progress),
}

/// What is asked for, and how much of it is there.
#[derive(Clone, Copy)]
pub(super) struct Goal {
    /// Such as `pairs`.
    pub(super) what: &'static str,
    pub(super) kept: u64,
    pub(super) wanted: u64,
}

impl<'a> Model<'a> {
    /// The model that the build names, if there is anything to ask it.
    ///
    /// # Errors
    /// Where none is named, or its answers cannot be kept.
    pub(super) fn open(
        config: &'a BuildConfig,
        sources: &[Source],
        access: &Access,
        progress: &'a dyn Fn(Progress),
    ) -> Result<Option<Model<'a>>> {
        let samples = sources.iter().any(|source| source.to_ask().is_some());
        if !samples && !config.rewording.method.asks() {
            return Ok(None);
        }
        let llm = config.llm()?;
        let folder = access.cache_folder()?;
        let client = Client::open(&llm.endpoint, access.asking.clone(), llm.caps, folder)?;
        Ok(Some(Model {
            llm,
            seed: config.seed,
            client,
            progress,
        }))
    }

    /// Sends these messages, each at its place of the plan; what came of them, by their place.
    ///
    /// # Errors
    /// When the server answers nothing.
    pub(super) async fn ask(
        &self,
        plan: impl IntoIterator<Item = (u64, String)>,
        mut goal: Goal,
        is_kept: impl Fn(&Outcome) -> bool,
    ) -> Result<(BTreeMap<u64, Outcome>, Ended)> {
        let requests = plan.into_iter().map(|(ordinal, content)| {
            let request = Request {
                model: self.llm.model.clone(),
                messages: vec![Message {
                    role: Role::User,
                    content,
                }],
                max_tokens: self.llm.answer_tokens,
                temperature: self.llm.temperature,
                // Servers read it as a signed number.
                seed: self.seed.wrapping_add(ordinal) & i64::MAX as u64,
            };
            (ordinal, request)
        });
        let mut answers = BTreeMap::new();
        let ended = self
            .client
            .ask(requests, |ordinal, outcome| {
                goal.kept += u64::from(is_kept(&outcome));
                answers.insert(ordinal, outcome);
                (self.progress)(Progress::Asking {
                    asked: self.client.asked(),
                    what: goal.what,
                    kept: goal.kept,
                    wanted: goal.wanted,
                });
                Ok(())
            })
            .await?;
        Ok((answers, ended))
    }

    /// How far it is.
    pub(super) fn asked(&self) -> Asked {
        self.client.asked()
    }

    /// What was spent since then, in words.
    pub(super) fn spent(&self, before: Asked) -> String {
        let asked = self.asked();
        let mut text = format!("{} requests", asked.done - before.done);
        let n_known = asked.known - before.known;
        if n_known > 0 {
            text.push_str(&format!(" ({n_known} answered earlier)"));
        }
        text.push_str(&format!(", {} tokens", asked.tokens - before.tokens));
        let cost = asked.microdollars - before.microdollars;
        if cost > 0 {
            text.push_str(&format!(", {:.2} USD", cost as f64 / 1e6));
        }
        text
    }

    /// Ends when every answer is on the disk.
    pub(super) async fn close(self) {
        self.client.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Answer;

    #[test]
    fn what_was_said_is_whole_and_out_of_its_block() {
        let said = |text: &str, reason: &str| {
            said(Outcome::Answered(Answer {
                text: text.to_owned(),
                finish_reason: Some(reason.to_owned()),
                usage: None,
            }))
        };
        assert_eq!(said(" Do it.\n", "stop"), Ok("Do it.".to_owned()));
        assert_eq!(said("Do", "length"), Err("an answer that breaks off"));
        assert_eq!(said(" \n", "stop"), Err("an empty answer"));
        assert_eq!(
            super::said(Outcome::Refused(String::new())),
            Err("a request refused")
        );
        for (text, inside) in [
            ("```json\n{\"a\": 1}\n```", "{\"a\": 1}"),
            ("```\nprint(1)\n```", "print(1)"),
            ("```print(1)```", "```print(1)```"),
            ("plain", "plain"),
        ] {
            assert_eq!(unfenced(text), inside);
        }
    }
}
