//! Pairs from a language model, diverse ones (the set A of the paper) or more of the task: asked for in rounds, filtered in the order of the requests.
//!
//! What a round asks depends on what the rounds before it kept, and on nothing else: a repeated build asks the same, finds the
//! answers where they were kept, and comes to the same rows, however many requests were on their way at a time.

mod filter;
mod parse;
mod prompt;
mod task;

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::AsArray;

use crate::config::BuildConfig;
use crate::error::{Error, Result};
use crate::llm::{Ended, Outcome};
use crate::queries::{self, Query};
use crate::sample::Kind;
use crate::sources::{Access, Source};
use crate::tables::{Engine, RawTable, lift, session};

use super::build::Progress;
use super::model::{BUDGET_SPENT, Goal, LARGER_BUDGET, Model, said};
use super::stages::{Stages, each_batch};

use filter::Filter;
use parse::{Pair, pairs};
use prompt::{PAIRS_PER_REQUEST, is_example, message};
use task::{Form, ask_for_answer, ask_for_samples};

/// Requests of a round. They show what was kept before the round, so that none has to wait for another.
const REQUESTS_PER_ROUND: u64 = 256;

/// Of a round a quarter more is asked at a time than is missing: some will not stay.
const SPARE: (u64, u64) = (5, 4);

/// Requests in a row of which nothing stays, after which a model is given up.
const MOST_EMPTY: u64 = 64;

/// The places in the plan that a source may use.
const REQUESTS_PER_SOURCE: u64 = 1 << 32;

/// Those from which on the answers to samples of the task are asked for.
const ANSWERS_FROM: u64 = 1 << 31;

/// Pairs of other sources that requests may show, at the most, and rows that a generator gives to choose them from.
const MAX_EXAMPLES: u64 = 512;
const GENERATED_ROWS: u64 = 4_096;

/// Asks for the rows of every source that is to be asked for, and puts them into its place. Returns what came of it, a sentence
/// a source.
///
/// # Errors
/// When no server is named, it gives no answers, or fewer pairs stay than were asked for.
pub(super) async fn fill(
    config: &BuildConfig,
    sources: &mut [Source],
    model: &Model<'_>,
    engine: &Engine,
    access: &Access,
    progress: &dyn Fn(Progress),
) -> Result<Vec<String>> {
    if sources.iter().all(|source| source.to_ask().is_none()) {
        return Ok(Vec::new());
    }
    // The folder of the build may have to stay empty.
    let scratch = access.cache_folder()?;
    let mut notes = Vec::new();
    for kind in [Kind::Task, Kind::Diverse] {
        let is_to_ask = |source: &Source| source.kind == kind && source.to_ask().is_some();
        if !sources.iter().any(is_to_ask) {
            continue;
        }
        let mut known = examples(config, kind, sources, engine, scratch, progress).await?;
        let form = match kind {
            Kind::Task => Some(Form::of(&known, &config.special_tokens).ok_or_else(no_samples)?),
            _ => None,
        };
        if form.is_none() {
            known.retain(is_example);
        }
        let sampling = Sampling {
            seed: config.seed,
            kind,
            model,
            known: &known,
            form,
        };
        notes.extend(sampling.fill(sources, access).await?);
    }
    Ok(notes)
}

fn no_samples() -> Error {
    Error::Setting {
        key: "llm",
        problem: "samples of the task are to be asked for, and there are none to show".to_owned(),
        hint: "`--task my_task.jsonl llm:100` asks for a hundred more like those of the file"
            .to_owned(),
    }
}

/// Of the other sources of this kind the pairs of the rarest kinds, the rarest first.
async fn examples(
    config: &BuildConfig,
    kind: Kind,
    sources: &[Source],
    engine: &Engine,
    scratch: &Path,
    progress: &dyn Fn(Progress),
) -> Result<Vec<Pair>> {
    let folder = tempfile::tempdir_in(scratch).map_err(Error::write(scratch))?;
    let session = session(engine, folder.path())?;
    let stages = Stages {
        session: &session,
        folder: folder.path().to_owned(),
    };
    let mut normalized = Vec::new();
    let is_pool = |source: &&Source| source.kind == kind && !source.is_sampled();
    for (idx, source) in sources.iter().filter(is_pool).enumerate() {
        progress(Progress::Reading(source.name.clone()));
        let query = queries::normalize(idx, kind, config.reading.repair_mojibake);
        let source = source.clone().with_default_rows(GENERATED_ROWS);
        let raw = RawTable::register(&session, source).map_err(lift(query.query.file()))?;
        let stage = stages.run(&query, &[&idx.to_string()]).await;
        normalized.push(stage.map_err(|error| raw.failure().unwrap_or(error))?);
    }
    if normalized.is_empty() {
        return Ok(Vec::new());
    }
    stages.register("normalized", &normalized).await?;
    let query = queries::examples(config.seed, MAX_EXAMPLES);
    progress(Progress::Query(Query::Examples.file()));
    let mut found = Vec::new();
    each_batch(&session, query.plan(&session).await?, &query, |batch| {
        let column = |name: &str| batch[name].as_string::<i32>().clone();
        let (instructions, inputs, outputs) =
            (column("instruction"), column("input"), column("output"));
        for row in 0..batch.num_rows() {
            found.push(Pair {
                instruction: instructions.value(row).to_owned(),
                input: inputs.value(row).to_owned(),
                output: outputs.value(row).to_owned(),
            });
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// How a source is sampled.
struct Sampling<'a> {
    seed: u64,
    kind: Kind,
    model: &'a Model<'a>,
    known: &'a [Pair],
    /// What samples of the task look like, where these are asked for.
    form: Option<Form>,
}

/// What was sampled so far.
#[derive(Default)]
struct Sampled {
    kept: Vec<Pair>,
    n_pairs: u64,
    /// Samples of the task whose answers were asked for.
    n_asked: u64,
    /// Requests since something was kept.
    n_empty: u64,
    /// Why others went.
    gone: BTreeMap<&'static str, u64>,
    /// What the server said when it first refused a request.
    refusal: Option<String>,
}

impl Sampling<'_> {
    /// Asks for the rows of every source that is to be asked for.
    async fn fill(&self, sources: &mut [Source], access: &Access) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let has_input = self.form.as_ref().is_some_and(|form| form.has_input);
        let mut filter = Filter::new(self.known, has_input);
        let mut plan_start = 0;
        let of_kind = |source: &&mut Source| source.is_sampled() && source.kind == self.kind;
        for source in sources.iter_mut().filter(of_kind) {
            if let Some(n_rows) = source.to_ask() {
                let before = self.model.asked();
                let sampled = self.run(n_rows, plan_start, &mut filter).await?;
                let counts = sampled.counts(&self.model.spent(before));
                notes.push(format!("`{}`: {counts}", source.name));
                *source = source.clone().answered(access, &sampled.lines())?;
            }
            plan_start += REQUESTS_PER_SOURCE;
        }
        Ok(notes)
    }

    /// Asks until so many pairs stay, from this place of the plan on.
    async fn run(&self, n_rows: u64, plan_start: u64, filter: &mut Filter) -> Result<Sampled> {
        let (mut sampled, before) = (Sampled::default(), self.model.asked());
        let mut next = plan_start;
        let mut shown: Vec<Pair> = Vec::new();
        while (sampled.kept.len() as u64) < n_rows {
            let n_into_round = (next - plan_start) % REQUESTS_PER_ROUND;
            if n_into_round == 0 {
                let all = self.known.iter().chain(&sampled.kept);
                let may_be_shown = |pair: &&Pair| self.form.is_some() || is_example(pair);
                shown = all.filter(may_be_shown).cloned().collect();
            }
            let n_missing = n_rows - sampled.kept.len() as u64;
            let wanted = (n_missing * SPARE.0).div_ceil(SPARE.1 * PAIRS_PER_REQUEST as u64);
            // Where little stays, more at a time.
            let wanted = wanted
                .max(sampled.n_empty)
                .min(REQUESTS_PER_ROUND - n_into_round);
            let plan = next..next + wanted;
            next = plan.end;
            let goal = Goal {
                what: "pairs",
                kept: sampled.kept.len() as u64,
                wanted: n_rows,
            };
            let messages = plan.map(|ordinal| {
                let message = match self.form {
                    Some(_) => ask_for_samples(self.seed, ordinal, &shown),
                    None => message(self.seed, ordinal, &shown),
                };
                (ordinal, message)
            });
            // How many pairs of an answer stay is decided when those before it are here.
            let (answers, mut ended) = self.model.ask(messages, goal, |_| false).await?;
            let n_requests = answers.len() as u64;
            let mut new = sampled.take(answers, self.form.as_ref(), filter, n_missing);
            if let (Some(form), Ended::Whole) = (&self.form, ended) {
                let first = plan_start + ANSWERS_FROM + sampled.n_asked;
                (new, ended) = self.answer(form, new, first, goal, &mut sampled).await?;
            }
            sampled.keep(new, n_requests);
            let is_short = (sampled.kept.len() as u64) < n_rows;
            let is_hopeless = sampled.n_empty >= MOST_EMPTY;
            if is_short && (ended == Ended::OverBudget || is_hopeless) {
                let counts = sampled.counts(&self.model.spent(before));
                let (why, hint) = match ended {
                    Ended::OverBudget => (BUDGET_SPENT.to_owned(), LARGER_BUDGET),
                    Ended::Whole => (
                        format!("nothing stayed of the last {} requests", sampled.n_empty),
                        "the answers are in `answers` of the cache, to be looked at: another model may do better, or a larger `--answer-tokens`",
                    ),
                };
                return Err(Error::SampledShort {
                    wanted: n_rows,
                    what: "pairs",
                    kept: sampled.kept.len() as u64,
                    why,
                    counts,
                    hint: hint.to_owned(),
                });
            }
        }
        Ok(sampled)
    }

    /// Asks for the answers to new samples of the task, from this place of the plan on; those that look like samples stay.
    async fn answer(
        &self,
        form: &Form,
        new: Vec<Pair>,
        first: u64,
        goal: Goal,
        sampled: &mut Sampled,
    ) -> Result<(Vec<Pair>, Ended)> {
        sampled.n_asked += new.len() as u64;
        let messages = (first..).zip(&new).map(|(ordinal, pair)| {
            let message = ask_for_answer(self.seed, ordinal, self.known, pair);
            (ordinal, message)
        });
        let messages: Vec<_> = messages.collect();
        let (mut answers, ended) = self.model.ask(messages, goal, |_| true).await?;
        let mut answered = Vec::new();
        for (ordinal, pair) in (first..).zip(new) {
            let answer = answers.remove(&ordinal).map_or(Err("no answer"), said);
            let answer = answer.and_then(|text| form.answered(pair, &text));
            match answer {
                Ok(pair) => answered.push(pair),
                Err(why) => sampled.count(why),
            }
        }
        Ok((answered, ended))
    }
}

impl Sampled {
    /// Of the answers, in the order of their requests, the pairs that pass the filter.
    fn take(
        &mut self,
        answers: BTreeMap<u64, Outcome>,
        form: Option<&Form>,
        filter: &mut Filter,
        n_missing: u64,
    ) -> Vec<Pair> {
        let mut found = Vec::new();
        for outcome in answers.into_values() {
            match outcome {
                Outcome::Refused(said) => {
                    self.refusal.get_or_insert(said);
                    self.count("a request refused");
                }
                Outcome::Answered(answer) => {
                    let pairs = pairs(&answer.text);
                    if pairs.is_empty() {
                        self.count("an answer without a pair");
                    }
                    for pair in pairs {
                        self.n_pairs += 1;
                        let pair = pair.map_err(|why| why.0);
                        match pair
                            .and_then(|pair| form.map_or(Ok(pair.clone()), |form| form.asked(pair)))
                        {
                            Ok(pair) => found.push(pair),
                            Err(why) => self.count(why),
                        }
                    }
                }
            }
        }
        let mut new = Vec::new();
        let decided = filter.decide(&found, usize::try_from(n_missing).unwrap_or(usize::MAX));
        for (pair, decided) in found.into_iter().zip(decided) {
            match decided {
                Ok(()) => new.push(pair),
                Err(why) => self.count(why),
            }
        }
        new
    }

    /// Keeps what came of so many requests.
    fn keep(&mut self, new: Vec<Pair>, n_requests: u64) {
        self.n_empty = match new.is_empty() {
            true => self.n_empty + n_requests,
            false => 0,
        };
        self.kept.extend(new);
    }

    /// What stays, as lines of JSON.
    fn lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for pair in &self.kept {
            lines.extend_from_slice(pair.to_json().as_bytes());
            lines.push(b'\n');
        }
        lines
    }

    fn count(&mut self, why: &'static str) {
        *self.gone.entry(why).or_default() += 1;
    }

    /// What came of it, in a line, beside what was spent.
    fn counts(&self, spent: &str) -> String {
        let mut text = format!("{spent}; {} pairs, {} kept", self.n_pairs, self.kept.len());
        for (why, n) in &self.gone {
            text.push_str(&format!(", {n} × {why}"));
        }
        if let Some(refusal) = &self.refusal {
            text.push_str(&format!("; refused with: {refusal}"));
        }
        text
    }
}
