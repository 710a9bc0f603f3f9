//! A recipe: the TOML file that says what to build, fit and evaluate, and the command-line flags of the same names.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::fit_table::DEFAULT_MODEL;
use super::{
    BUNDLED_RECIPES, BatchSize, ColumnMap, DedupeOn, Exhausted, FitTable, MaxRejects, Near,
    NearMethod, Order, Overlap, Prices, Ratio, Reword, Select, Share, Shingle, SourceEntry,
    SplitPrompt, Turns,
};

/// A recipe as written: every table and every key may be missing, none may be unknown.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The version that froze it; informative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delia: Option<String>,
    /// What `delia-build` reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildTable>,
    /// What `delia-fit` reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<FitTable>,
    /// What `delia-eval` reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval: Option<toml::Table>,
}

/// The `[build]` table, and the flags of `delia-build` of the same names.
#[derive(Clone, Debug, Default, Deserialize, Serialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[command(next_help_heading = "What to build")]
pub struct BuildTable {
    /// Diverse samples per task sample [default: 520]
    ///
    /// Diverse rows = round(ratio × iterations × task rows), half up; task rows are counted after cleaning. 0 builds the
    /// task rows alone.
    #[arg(long, value_name = "R", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,

    /// Tokens of diverse samples per token of task samples, instead of --ratio; needs --tokenizer
    ///
    /// The tokens of instruction, input and output count. Of every source rows are drawn in order until the next would leave
    /// it further from its part than it is, so that it is off by at most half a row.
    #[arg(
        long,
        value_name = "R",
        allow_hyphen_values = true,
        conflicts_with = "ratio"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_tokens: Option<Ratio>,

    /// What counts tokens: the folder of a model, or a `tokenizer.json`; the manifest then holds tokens too
    #[arg(long, value_name = "DIR|FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,

    /// BLAKE3 of the tokenizer as it was when the recipe was frozen, in hex.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer_blake3: Option<String>,

    /// How often the draw after each task sample is repeated [default: 1]
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u32>,

    /// Differently drawn passes, one after the other: each holds all task samples and a draw of its own [default: 1]
    ///
    /// A pass goes on in the pool where the one before ended, so nothing is used twice while there is something unused.
    #[arg(long, value_name = "E")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passes: Option<u32>,

    /// Which diverse samples are drawn first [default: random]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,

    /// The order of the stream [default: shuffled]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,

    /// In staged order: the share of the task samples that the diverse stage holds again, at least one [default: 1/256]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_share: Option<Share>,

    /// In stratified order: rows that hold the mix, counted from the start of each pass [default: auto]
    ///
    /// `auto` is what the fit takes: 64, and 16 for less than 256 rows. Every batch holds of every source its share, rounded
    /// up or down; so does the last, which may be shorter.
    #[arg(long, value_name = "ROWS|auto")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<BatchSize>,

    /// Seed of every random choice [default: 0]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,

    /// Jaccard similarity from which on a row goes as a near-duplicate of an earlier one, or `off` [default: 0.8]
    ///
    /// Texts are compared as sets of pieces; every pair is verified. Task rows never go, a diverse row near a task row does.
    /// With `--near-method rouge-l` it is the ROUGE-L F measure of their words; 0.7 is usual.
    #[arg(long, value_name = "X|off")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<Near>,

    /// How candidates for near-duplicates are found [default: exact]
    #[arg(long, value_enum, value_name = "METHOD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_method: Option<NearMethod>,

    /// Hash functions of a MinHash signature [default: 128]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_permutations: Option<u32>,

    /// The pieces texts are compared by: `word:N` or `char:N` [default: word:3]
    #[arg(long, value_name = "UNIT:N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shingle: Option<Shingle>,

    /// The texts that are compared for near-duplicates [default: prompt]
    #[arg(long, value_enum, value_name = "TEXTS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe_on: Option<DedupeOn>,

    /// When the ratio asks for more diverse samples than there are [default: repeat]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<Exhausted>,

    /// Rows in a shard [default: 16384]
    #[arg(long, value_name = "ROWS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_shard: Option<u64>,

    /// Tokens that the fit adds to the vocabulary; the bundled task brings `<sep>`
    #[arg(long, value_name = "TOKEN", num_args = 1..)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_token: Option<Vec<String>>,

    /// Shared words in a row from which on a diverse row goes for overlapping with a held-out or eval row, or `off` [default: 8]
    ///
    /// Looked for in instruction, input and output, each for itself. Words that stand in more than half of the rows of a held-out or eval
    /// source are the task's own wording and do not count. A row whose prompt equals a held-out or eval prompt goes in any
    /// case. Task rows go only when what they ask about is held out.
    #[arg(long, value_name = "WORDS|off")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_ngram: Option<Overlap>,

    /// Diverse rows set aside to measure on; a pool gives at most a tenth [default: 500]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out_diverse: Option<u64>,

    /// What becomes of a conversation (`messages`, `conversations`) [default: single]
    ///
    /// A system message goes before the instruction; earlier turns go into the input as lines `role: text`.
    #[arg(long, value_enum, help_heading = "Reading sources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,

    /// Read bytes of JSON and CSV that are not UTF-8 as Windows-1252, and count the rows; without it such records are dropped
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Reading sources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair_encoding: Option<bool>,

    /// Put right texts that were UTF-8 and misread as Windows-1252, such as `cafÃ©`, and count the rows
    ///
    /// A text is touched only where all of it can be read back exactly and the result is plausible.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Reading sources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair_mojibake: Option<bool>,

    /// End without shards, with exit code 3, when more records are unusable: a number over all sources, or a share of each [default: off]
    ///
    /// Unusable are records that cannot be read and those without a response or a prompt. Otherwise they are only dropped
    /// and counted.
    #[arg(long, value_name = "N|N%|off", help_heading = "Reading sources")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rejects: Option<MaxRejects>,

    /// What rewords the instructions of task samples, in many directions [default: rules]
    #[arg(long, value_enum, help_heading = "Rewording the task")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reword: Option<Reword>,

    /// New wordings of each task sample [default: 1]
    ///
    /// Each is a task row of the stream, and the ratio counts it. A sample of which fewer wordings can be made has fewer; one
    /// of which none can be made stands in its original wording. How many are missing is said.
    #[arg(long, value_name = "N", help_heading = "Rewording the task")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variants: Option<u32>,

    /// Put the original wording of every task sample beside the new ones
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Rewording the task")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_original: Option<bool>,

    /// What of a prompt without an input is the instruction to reword [default: auto]
    ///
    /// `auto`: what all prompts of the source begin and end with, in whole lines; where that is nothing, or with `none`, all of
    /// it. A regular expression: all but what it finds, or what its first group does.
    #[arg(
        long,
        value_name = "auto|none|REGEX",
        help_heading = "Rewording the task"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_prompt: Option<SplitPrompt>,

    /// Text that the instruction of every task row ends with, on a line of its own: the anchor prompt of TELL
    #[arg(long, value_name = "TEXT", help_heading = "Rewording the task")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,

    /// Leave the task rows out, and draw what would be drawn with them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave_out_task: Option<bool>,

    /// Base address of a server that speaks OpenAI's protocol, for `llm:N` and --reword llm
    ///
    /// Such as `http://localhost:8000/v1`. Its key comes from the environment, see --api-key-env.
    #[arg(long, value_name = "URL", help_heading = "Asking a language model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// What the server calls the model
    #[arg(long, value_name = "NAME", help_heading = "Asking a language model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_model: Option<String>,

    /// How much answers are left to chance, from 0 to 2 [default: 1]
    #[arg(long, value_name = "T", help_heading = "Asking a language model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,

    /// The most tokens of an answer [default: 2048]
    #[arg(long, value_name = "N", help_heading = "Asking a language model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_tokens: Option<u32>,

    /// The most tokens that all requests and answers of the build may have, those of earlier tries included
    ///
    /// Before a request is sent, the most it can cost is set aside: the bytes of its text, and --answer-tokens. Where the budget ends
    /// too early, no shard is written, and the exit code is 3.
    #[arg(long, value_name = "N", help_heading = "Asking a language model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,

    /// The most dollars that they may cost; needs --usd-per-mtok
    #[arg(long, value_name = "USD", help_heading = "Asking a language model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,

    /// Dollars a million tokens of requests and of answers
    #[arg(long, value_name = "IN,OUT", help_heading = "Asking a language model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_mtok: Option<Prices>,

    /// Columns to read where their names are not recognised
    ///
    /// ROLE=COLUMN pairs, the roles being instruction, input and output: `--map instruction=user_query,output=reply`. A
    /// leading `NAME:` limits the map to the source of that name.
    #[arg(long, value_name = "[NAME:]ROLE=COLUMN,…", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<ColumnMap>,

    /// Task samples: files, patterns, addresses, `bundled:NAME` or `llm:ROWS` [default: bundled:formatted_text]
    ///
    /// `llm:ROWS` asks a language model for so many more like those of the other sources.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task: Vec<SourceEntry>,

    /// Diverse samples: files, patterns, addresses, `procedural[:NAME,…][@ROWS]` or `llm:ROWS` [default: procedural]
    ///
    /// Names of the procedural sampler are groups (math, time, text, words, data, formats, logic), difficulties (easy, medium,
    /// hard) and families, such as `weekday`: `procedural:math,text` draws from two groups, `procedural:math,hard` from what
    /// is hard of one.
    ///
    /// `llm:ROWS` samples so many from a language model, see --endpoint.
    ///
    /// An address is `http(s)://…`, `hf://datasets/OWNER/NAME[[/CONFIG]/SPLIT]`, or `-` for standard input.
    ///
    /// Files are JSON arrays, JSON Lines, CSV with a header or Parquet, each plain, gzip or zstd. Several sources form one
    /// pool in which each sample is equally likely, unless they have weights.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diverse: Vec<SourceEntry>,

    /// Task samples kept away from training, for measuring [default: those of the bundled task]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<SourceEntry>,

    /// Benchmarks the model will be measured with: what overlaps with them stays out of the shards
    ///
    /// Read like other sources, but a response may be missing. Their rows are compared with, and used for nothing else.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub eval: Vec<SourceEntry>,
}

impl Recipe {
    /// Reads a recipe: a bundled one by its name, any other by its path. Its paths become relative to the current folder.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or has a key that no command knows.
    pub fn read(name_or_path: &Path) -> Result<Recipe> {
        if let Some((_, text)) = BUNDLED_RECIPES
            .iter()
            .find(|(name, _)| Path::new(name) == name_or_path)
        {
            return Recipe::parse(name_or_path, text);
        }
        let text = std::fs::read_to_string(name_or_path)
            .map_err(|source| recipe_not_read(name_or_path, source))?;
        let mut recipe = Recipe::parse(name_or_path, &text)?;
        let folder = name_or_path.parent().unwrap_or(Path::new(""));
        if let Some(build) = &mut recipe.build {
            build.entries_mut().for_each(|entry| entry.rebase(folder));
            build.rebase_tokenizer(folder);
        }
        if let Some(fit) = &mut recipe.fit {
            fit.rebase(folder);
        }
        Ok(recipe)
    }

    /// Parses the text of a recipe; `path` only names it in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Recipe> {
        toml::from_str(text).map_err(|source| Error::RecipeSyntax {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// The recipe as a file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe holds only what TOML can")
    }
}

impl BuildTable {
    /// This table with everything that `flags` says put over it; a list replaces a list.
    #[must_use]
    pub fn overridden_by(self, flags: BuildTable) -> BuildTable {
        fn list<T>(typed: Vec<T>, written: Vec<T>) -> Vec<T> {
            if typed.is_empty() { written } else { typed }
        }
        // Rows of another model or seed are other rows.
        let asks_anew = flags.endpoint.is_some()
            || flags.llm_model.is_some()
            || flags.temperature.is_some()
            || flags.answer_tokens.is_some()
            || flags.seed.is_some();
        let anew = |mut written: Vec<SourceEntry>| {
            let sampled = written.iter_mut().filter(|entry| entry.is_sampled());
            sampled
                .filter(|_| asks_anew)
                .for_each(|entry| entry.blake3 = None);
            written
        };
        BuildTable {
            // A ratio in the one unit replaces that in the other.
            ratio: flags
                .ratio
                .or(self.ratio.filter(|_| flags.ratio_tokens.is_none())),
            ratio_tokens: flags
                .ratio_tokens
                .or(self.ratio_tokens.filter(|_| flags.ratio.is_none())),
            // A hash belongs to the tokenizer it stands with.
            tokenizer_blake3: self.tokenizer_blake3.filter(|_| flags.tokenizer.is_none()),
            tokenizer: flags.tokenizer.or(self.tokenizer),
            iterations: flags.iterations.or(self.iterations),
            passes: flags.passes.or(self.passes),
            select: flags.select.or(self.select),
            order: flags.order.or(self.order),
            stage_share: flags.stage_share.or(self.stage_share),
            batch_size: flags.batch_size.or(self.batch_size),
            seed: flags.seed.or(self.seed),
            near: flags.near.or(self.near),
            near_method: flags.near_method.or(self.near_method),
            near_permutations: flags.near_permutations.or(self.near_permutations),
            shingle: flags.shingle.or(self.shingle),
            dedupe_on: flags.dedupe_on.or(self.dedupe_on),
            on_exhausted: flags.on_exhausted.or(self.on_exhausted),
            rows_per_shard: flags.rows_per_shard.or(self.rows_per_shard),
            special_token: flags.special_token.or(self.special_token),
            overlap_ngram: flags.overlap_ngram.or(self.overlap_ngram),
            held_out_diverse: flags.held_out_diverse.or(self.held_out_diverse),
            turns: flags.turns.or(self.turns),
            repair_encoding: flags.repair_encoding.or(self.repair_encoding),
            repair_mojibake: flags.repair_mojibake.or(self.repair_mojibake),
            max_rejects: flags.max_rejects.or(self.max_rejects),
            reword: flags.reword.or(self.reword),
            variants: flags.variants.or(self.variants),
            keep_original: flags.keep_original.or(self.keep_original),
            split_prompt: flags.split_prompt.or(self.split_prompt),
            anchor: flags.anchor.or(self.anchor),
            leave_out_task: flags.leave_out_task.or(self.leave_out_task),
            endpoint: flags.endpoint.or(self.endpoint),
            llm_model: flags.llm_model.or(self.llm_model),
            temperature: flags.temperature.or(self.temperature),
            answer_tokens: flags.answer_tokens.or(self.answer_tokens),
            budget_tokens: flags.budget_tokens.or(self.budget_tokens),
            budget_usd: flags.budget_usd.or(self.budget_usd),
            usd_per_mtok: flags.usd_per_mtok.or(self.usd_per_mtok),
            map: list(flags.map, self.map),
            task: list(flags.task, anew(self.task)),
            diverse: list(flags.diverse, anew(self.diverse)),
            held_out: list(flags.held_out, self.held_out),
            eval: list(flags.eval, self.eval),
        }
    }

    /// Makes a relative path to the tokenizer start from `folder`.
    fn rebase_tokenizer(&mut self, folder: &Path) {
        if let Some(path) = &mut self.tokenizer
            && !path.starts_with(DEFAULT_MODEL)
        {
            *path = folder.join(&*path);
        }
    }

    fn entries_mut(&mut self) -> impl Iterator<Item = &mut SourceEntry> {
        self.task
            .iter_mut()
            .chain(&mut self.diverse)
            .chain(&mut self.held_out)
            .chain(&mut self.eval)
    }
}

fn recipe_not_read(path: &Path, source: std::io::Error) -> Error {
    let is_name = path.components().count() == 1 && path.extension().is_none();
    if source.kind() == std::io::ErrorKind::NotFound && is_name {
        let names: Vec<_> = BUNDLED_RECIPES
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        return Error::Setting {
            key: "recipe",
            problem: format!(
                "there is neither a bundled recipe nor a file called `{}`",
                path.display()
            ),
            hint: format!("bundled are {}", names.join(", ")),
        };
    }
    Error::Read {
        path: PathBuf::from(path),
        source,
    }
}
