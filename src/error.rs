//! Every way a command can fail, with the place where it happened.
//!
//! A message is a fact with its coordinates; [`Error::hint`] adds what to do about it. Errors of other libraries are kept
//! as boxed causes, so that no variant depends on a feature of this crate.

use std::io;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A foreign error kept as the cause of one of ours.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting of the command line or of a recipe that cannot be meant.
    #[error("{key}: {problem}")]
    Setting {
        /// The setting's name, as in the recipe.
        key: &'static str,
        /// What is wrong with its value.
        problem: String,
        /// What to write instead.
        hint: String,
    },

    /// A recipe that is not valid TOML, or has a key no command knows.
    #[error("recipe `{}` cannot be used", path.display())]
    RecipeSyntax {
        /// The recipe file, or the name of a bundled one.
        path: PathBuf,
        /// What the TOML reader found, with line and column.
        source: Box<toml::de::Error>,
    },

    /// A file that could not be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A file or folder that could not be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A pattern such as `data/*.jsonl` without a match.
    #[error("no file matches `{pattern}`")]
    NoMatch {
        /// The pattern as typed.
        pattern: String,
    },

    /// A folder where a file was expected.
    #[error("`{}` is a folder", path.display())]
    SourceFolder {
        /// The folder.
        path: PathBuf,
    },

    /// A pipe or device where a file was expected.
    #[error("`{}` is not a regular file", path.display())]
    SourceNoFile {
        /// The path.
        path: PathBuf,
    },

    /// A file that somebody wrote to while it was read.
    #[error("source `{path}` was written to while it was read")]
    SourceChanging {
        /// The source.
        path: String,
    },

    /// The same file named twice.
    #[error("source `{path}` is given twice")]
    SourceTwice {
        /// The path as typed.
        path: String,
    },

    /// A source without a single byte or record.
    #[error("source `{path}` is empty")]
    SourceEmpty {
        /// The source.
        path: String,
    },

    /// A source that is none of JSON, CSV and Parquet.
    #[error("the format of source `{path}` is not recognised")]
    SourceFormat {
        /// The source.
        path: String,
    },

    /// A source that breaks off or is damaged, so that what follows cannot be read.
    #[error("source `{path}` is broken {place}")]
    SourceBroken {
        /// The source.
        path: String,
        /// How far it could be read.
        place: String,
        /// What the reader found there.
        source: Cause,
    },

    /// A source in UTF-16.
    #[error("source `{path}` is UTF-16, text is expected to be UTF-8")]
    SourceUtf16 {
        /// The source.
        path: String,
    },

    /// A source elsewhere that could not be fetched.
    #[error("could not fetch `{url}`: {problem}")]
    Fetch {
        /// Its address.
        url: String,
        /// The server's answer, or why there was none.
        problem: String,
        /// What to do about it.
        hint: String,
    },

    /// A language model's server that gives no answer.
    #[error("`{url}` gives no answer: {problem}")]
    Asking {
        /// Its address.
        url: String,
        /// What it says, or why it says nothing.
        problem: String,
        /// What to do about it.
        hint: String,
    },

    /// A source that no language model was asked for yet.
    #[error("the rows of `{path}` are not sampled yet")]
    NotSampled {
        /// The source.
        path: String,
    },

    /// Less from a language model than was asked for.
    #[error("{kept} of {wanted} {what} could be had: {why} ({counts})")]
    SampledShort {
        /// How many were asked for.
        wanted: u64,
        /// What: `pairs`, `wordings`, …
        what: &'static str,
        /// How many there are.
        kept: u64,
        /// Why there are no more.
        why: String,
        /// What was asked, and what became of the answers.
        counts: String,
        /// What to do about it.
        hint: String,
    },

    /// A file of answers that another process holds.
    #[error("another process is asking this server and keeps its answers in `{}`", path.display())]
    AnswersBusy {
        /// The file.
        path: PathBuf,
    },

    /// A dataset on a hub that has no such configuration or split.
    #[error("`{dataset}`: {problem}")]
    HubChoice {
        /// The dataset as typed.
        dataset: String,
        /// What there is.
        problem: String,
        /// How to choose.
        hint: String,
    },

    /// More unusable records than `--max-rejects` allows.
    #[error(
        "{n_rejected} of {n_records} records are unusable, `--max-rejects {limit}` allows fewer: {counts}"
    )]
    TooManyRejects {
        /// As typed.
        limit: String,
        /// Unusable records over all sources.
        n_rejected: u64,
        /// Records read over all sources.
        n_records: u64,
        /// For every source, how many, and why.
        counts: String,
    },

    /// A source in which no column is known to hold the prompt or the response.
    #[error(
        "source `{path}` has no column for the {missing}; its columns are {}",
        quoted(found)
    )]
    NoColumns {
        /// The source.
        path: String,
        /// `prompt` or `response`.
        missing: &'static str,
        /// The columns it has.
        found: Vec<String>,
    },

    /// A column that should hold text and holds something else.
    #[error("source `{path}`: column `{column}` is {found}, text is expected")]
    ColumnType {
        /// The source.
        path: String,
        /// The column.
        column: String,
        /// What it holds.
        found: String,
    },

    /// A source of which not a single record could be used.
    #[error("source `{path}`: none of its {n_records} records can be read; {first}")]
    NothingReadable {
        /// The source.
        path: String,
        /// How many records were tried.
        n_records: u64,
        /// The first problem, with its place.
        first: String,
    },

    /// A source whose bytes are not those the recipe was frozen with.
    #[error("source `{path}` has changed since the recipe was written")]
    SourceChanged {
        /// The source.
        path: String,
    },

    /// A task set with no usable row.
    #[error("no task sample is left: {n_read} were read, all were dropped")]
    NoTasks {
        /// Task rows read.
        n_read: u64,
    },

    /// Fewer diverse samples than the ratio asks for.
    #[error(
        "the ratio asks for {wanted} {}, {available} are left after cleaning",
        of_diverse(unit)
    )]
    Exhausted {
        /// What the ratio asks for, over all passes.
        wanted: u64,
        /// What there is.
        available: u64,
        /// `rows` or `tokens`.
        unit: &'static str,
    },

    /// Fewer samples in a source than its weight asks for.
    #[error(
        "the mix asks for {wanted} {unit} of `{source_name}`, {available} are left after cleaning"
    )]
    SourceExhausted {
        /// The source.
        source_name: String,
        /// What its weight asks for, over all passes so far.
        wanted: u64,
        /// What there is.
        available: u64,
        /// `rows` or `tokens`.
        unit: &'static str,
    },

    /// Caps that leave no room for what the ratio asks for.
    #[error(
        "the caps of the sources allow at most {available} of the {wanted} diverse {unit} of a pass"
    )]
    Capped {
        /// What the ratio asks for in a pass.
        wanted: u64,
        /// What the caps leave.
        available: u64,
        /// `rows` or `tokens`.
        unit: &'static str,
    },

    /// A tokenizer whose bytes are not those the recipe was frozen with.
    #[error("the tokenizer `{}` has changed since the recipe was written", path.display())]
    TokenizerChanged {
        /// As in the recipe.
        path: PathBuf,
    },

    /// An output folder with files that no build of ours put there.
    #[error("`{}` holds `{entry}`, which this build did not write", path.display())]
    FolderForeign {
        /// The output folder.
        path: PathBuf,
        /// The first foreign entry.
        entry: String,
    },

    /// An output folder that holds the build of another recipe.
    #[error("`{}` holds another build: {difference}", path.display())]
    FolderOtherBuild {
        /// The output folder.
        path: PathBuf,
        /// The first setting that differs.
        difference: String,
    },

    /// An output folder another process writes into.
    #[error("another process is writing into `{}`", path.display())]
    FolderBusy {
        /// The output folder.
        path: PathBuf,
    },

    /// A folder without a manifest.
    #[error("`{}` holds no finished build: `manifest.json` is missing", path.display())]
    NoManifest {
        /// The folder.
        path: PathBuf,
    },

    /// A manifest, plan or journal that cannot be parsed.
    #[error("`{}` is not what this version writes", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        source: serde_json::Error,
    },

    /// A file of a finished build that is missing or differs from what the manifest says.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it differs.
        problem: String,
    },

    /// A build that was followed, and is another now.
    #[error("another build has taken the place of the one that was followed in `{}`", path.display())]
    BuildReplaced {
        /// Its folder.
        path: PathBuf,
    },

    /// A shard that a fit read before there was a manifest, and whose bytes were others than those of the build.
    #[error("shard `{}` is not the one this fit was trained on", path.display())]
    ShardReplaced {
        /// The shard.
        path: PathBuf,
    },

    /// A file of rows that could not be encoded.
    #[error("could not write `{}` as Parquet", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the Parquet library found.
        source: Cause,
    },

    /// A file of rows that could not be decoded.
    #[error("`{}` is not readable as Parquet", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the Parquet library found.
        source: Cause,
    },

    /// A model or adapter that is not there.
    #[error("there is no folder `{}`", path.display())]
    NoModel {
        /// As typed.
        path: PathBuf,
    },

    /// A folder of a model or adapter without a file that a fit needs.
    #[error("`{}` has no `{file}`", path.display())]
    ModelFile {
        /// The folder.
        path: PathBuf,
        /// The missing file.
        file: &'static str,
    },

    /// A JSON file of a model that is not what it should be.
    #[error("`{}` cannot be used", path.display())]
    ModelJson {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        source: serde_json::Error,
    },

    /// A model whose configuration asks for something this crate does not compute.
    #[error("`{}`: {problem}", path.display())]
    ModelConfig {
        /// The configuration file.
        path: PathBuf,
        /// The field and its value.
        problem: String,
    },

    /// An adapter that cannot be gone on from.
    #[error("`{}`: {problem}", path.display())]
    AdapterConfig {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A file of weights that is torn or is not safetensors.
    #[error("`{}` holds no readable weights: {problem}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// Weights in a format that is not read.
    #[error("`{}` is not read: weights are read from `{needed}`", path.display())]
    WeightsFormat {
        /// The file.
        path: PathBuf,
        /// The file that is missing.
        needed: &'static str,
    },

    /// A tensor that is missing, superfluous, or of the wrong shape or type.
    #[error("`{}`: tensor `{tensor}` {problem}", path.display())]
    Tensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A tokenizer that cannot be read or used.
    #[error("the tokenizer `{}` cannot be used", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizer library found.
        source: Cause,
    },

    /// A chat template that cannot be parsed or rendered.
    #[error("the chat template `{}` cannot be used", path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// What the template engine found.
        source: Cause,
    },

    /// A sample that cannot be laid out or tokenised.
    #[error("the sample at position {position} of {of} cannot be laid out")]
    LaidOut {
        /// Its position.
        position: u64,
        /// In what.
        of: &'static str,
        /// Why.
        source: Box<Error>,
    },

    /// A chat template that does more than one may.
    #[error("the chat template `{}` is stopped: a rendering takes more than {limit}", path.display())]
    TemplateLimit {
        /// The file.
        path: PathBuf,
        /// How much a rendering may take.
        limit: String,
    },

    /// A model without a token that ends a response, and a template without an end.
    #[error(
        "the chat template `{}` puts no end behind a response, and `{}` names no `eos_token` of the vocabulary",
        path.display(),
        config.display()
    )]
    NoEnd {
        /// The template.
        path: PathBuf,
        /// The file that should name the token.
        config: PathBuf,
    },

    /// New tokens whose rows would not follow the model's.
    #[error("the new tokens would begin at id {first}, the model's rows end before {vocab_size}")]
    TokenGap {
        /// The first id of a new token behind the model's rows.
        first: u32,
        /// Rows of the model's embedding.
        vocab_size: usize,
    },

    /// A tokenizer that knows tokens the model has no row for.
    #[error("the tokenizer has {n_tokens} tokens, the model's vocabulary {vocab_size}")]
    Vocabulary {
        /// Tokens of the tokenizer before any is added.
        n_tokens: usize,
        /// Rows of the model's embedding.
        vocab_size: usize,
    },

    /// A device that was asked for and cannot be used.
    #[error("device `{device}` cannot be used: {missing}")]
    Device {
        /// As typed.
        device: String,
        /// What is not there.
        missing: String,
    },

    /// Samples longer than the model or `--max-length` allows.
    #[error("{problem}")]
    TooLong {
        /// Which, and how many.
        problem: String,
    },

    /// A loss or gradient that is not a number.
    #[error(
        "the {what} is not a number at step {step} (the first is 0), on the samples at positions {positions}"
    )]
    NotANumber {
        /// `loss` or `gradient`.
        what: &'static str,
        /// The step, from 0.
        step: u64,
        /// Positions in the stream.
        positions: String,
    },

    /// A training that has left the numbers.
    #[error(
        "the {what} is not a number at step {step} (the first is 0), on the samples at positions {positions}"
    )]
    Diverged {
        /// `loss` or `gradient`.
        what: &'static str,
        /// The step, from 0.
        step: u64,
        /// Positions in the stream.
        positions: String,
        /// The file that holds the state before the step, where a step had been made.
        checkpoint: Option<PathBuf>,
    },

    /// A checkpoint that cannot be gone on from.
    #[error("the checkpoint `{}` cannot be used: {problem}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// The steps of an older one that is whole.
        older: Option<u64>,
    },

    /// An output folder that holds the fit of other settings.
    #[error("`{}` holds another fit: {difference}", path.display())]
    FolderOtherFit {
        /// The output folder.
        path: PathBuf,
        /// The first setting that differs.
        difference: String,
    },

    /// A file of a fit that is missing or is not as it was written.
    #[error("`{}` is damaged: {problem}", path.display())]
    FitDamaged {
        /// The file.
        path: PathBuf,
        /// How it differs.
        problem: String,
    },

    /// A stop asked for by the user.
    #[error("interrupted after {n_done} {what}")]
    Interrupted {
        /// What was done and is kept: steps, requests.
        n_done: u64,
        /// What that counts.
        what: &'static str,
    },

    /// A query of the pipeline that did not run to its end.
    #[error("query `{query}` did not finish")]
    Query {
        /// The query's file name.
        query: &'static str,
        /// What the engine said.
        source: Cause,
    },

    /// A query that needs more memory than it may have.
    #[error("query `{query}` {problem}")]
    MemoryLimit {
        /// The query's file name.
        query: &'static str,
        /// How much it needs, and how much it has.
        problem: String,
    },

    /// A query typed by the user that cannot be run.
    #[error("{message}")]
    Sql {
        /// The engine's own words.
        message: String,
    },

    /// The page of a report that could not be laid out.
    #[error("the page could not be laid out")]
    Page {
        /// What the template engine said.
        source: Cause,
    },

    /// A query typed by the user of which a part would do nothing.
    #[error("{clause} would be ignored here")]
    SqlIgnored {
        /// The part.
        clause: String,
        /// What to write instead.
        hint: String,
    },
}

impl Error {
    /// What the user can do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Setting { hint, .. } => hint.clone(),
            Error::Read { path, source } if source.kind() == io::ErrorKind::NotFound => not_found_hint(path),
            Error::Write { source, .. } => write_hint(source)?,
            Error::NoMatch { .. } => "quote the pattern, so that it reaches the command as typed".to_owned(),
            Error::SourceFolder { path } => format!("name its files: `{}/*.jsonl`", path.display()),
            Error::SourceTwice { .. } => "each sample is used as often as the ratio needs it; name every file once".to_owned(),
            Error::SourceFormat { .. } => {
                "sources are JSON arrays, JSON Lines (an object a line), CSV with a header or Parquet, each plain, gzip or zstd; a web page is none: `hf://datasets/OWNER/NAME` is a dataset of the hub".to_owned()
            }
            Error::SourceBroken { source, .. } if is_cut_off(source) => {
                "a download may have been cut off; fetch the file again".to_owned()
            }
            Error::SourceBroken { .. } => {
                "mend the file, or turn it into JSON Lines, where a bad record is dropped and counted".to_owned()
            }
            Error::SourceNoFile { .. } => {
                "a source is read twice, to hash and to parse it; write it to a file first".to_owned()
            }
            Error::SourceChanging { .. } => "repeat the command when the file is complete".to_owned(),
            Error::SourceUtf16 { .. } => "convert it: `iconv -f UTF-16 -t UTF-8`".to_owned(),
            Error::NotSampled { .. } => "a build asks for them, and costs what the server asks; a recipe that a build wrote names rows that are in the cache".to_owned(),
            Error::AnswersBusy { .. } => "wait for it to end, or give this one a `--cache` of its own".to_owned(),
            Error::Asking { hint, .. }
            | Error::SampledShort { hint, .. }
            | Error::Fetch { hint, .. } | Error::HubChoice { hint, .. } => hint.clone(),
            Error::TooManyRejects { .. } => {
                "no shard was written; without `--max-rejects` they are dropped, and the table `dropped` shows each with its reason".to_owned()
            }
            Error::NoColumns { .. } => {
                "say which columns to read: `--map instruction=COLUMN,output=COLUMN` (and `input=COLUMN`)".to_owned()
            }
            Error::ColumnType { .. } => "convert the column to text, or choose another with `--map`".to_owned(),
            Error::SourceChanged { .. } => "`--accept-changed` builds with the file as it is now".to_owned(),
            Error::NoTasks { .. } => {
                "a task row goes when it is unusable, or when what it asks about stands in `--held-out` or `--eval` too".to_owned()
            }
            Error::Exhausted { .. } => {
                "`--on-exhausted repeat` uses samples several times; a smaller `--ratio` or more sources avoid that".to_owned()
            }
            Error::SourceExhausted { .. } => {
                "`--on-exhausted repeat` uses samples several times, `top-up` takes the rest from the next source".to_owned()
            }
            Error::Capped { .. } => "a higher `--cap`, a smaller `--ratio` or more sources make room".to_owned(),
            Error::TokenizerChanged { .. } => "`--accept-changed` builds with the file as it is now".to_owned(),
            Error::FolderForeign { .. } => "choose an empty folder with `--out`; nothing was removed".to_owned(),
            Error::FolderOtherBuild { .. } => {
                "choose another folder with `--out`, or replace that build with `--force`".to_owned()
            }
            Error::FolderBusy { .. } => "wait for it, or choose another folder with `--out`".to_owned(),
            Error::NoManifest { .. } => {
                "`delia-build --out DIR` makes one; an interrupted build goes on when its command is repeated, and `delia-fit --follow` begins while it is at work".to_owned()
            }
            Error::Parquet { .. } => {
                "it may be damaged: `delia-build` compares every file of a build with what was written".to_owned()
            }
            Error::NoModel { .. } => {
                "a model or adapter is a folder: `hf download OWNER/NAME --local-dir DIR` fetches one from the hub; paths are relative to the current folder, those in a recipe to the recipe".to_owned()
            }
            Error::ModelFile { file, .. } if file.starts_with("adapter_") => {
                "an adapter's folder holds `adapter_config.json` and `adapter_model.safetensors`, as PEFT and `delia-fit` save them".to_owned()
            }
            Error::ModelFile { .. } => {
                "a model folder holds `config.json`, `tokenizer.json` and `*.safetensors`, as Hugging Face saves them".to_owned()
            }
            Error::ModelConfig { .. } => {
                "what a configuration asks for is computed exactly or not at all; nothing was computed".to_owned()
            }
            Error::AdapterConfig { .. } => {
                "`--adapter` takes a plain LoRA, rsLoRA or DoRA adapter of the same base; nothing was computed".to_owned()
            }
            Error::Weights { .. } => {
                "a download may have been cut off; fetch the model again".to_owned()
            }
            Error::Tensor { .. } => {
                "files of different models may have come together, or a download was cut off; fetch the model again".to_owned()
            }
            Error::WeightsFormat { .. } => {
                "other formats run code when they are read, or hold rounded weights; the hub has safetensors of most models, and `save_pretrained` of transformers writes them".to_owned()
            }
            Error::LaidOut { source, .. } => source.hint()?,
            Error::Template { .. } => {
                "`--template` lays samples out otherwise: `alpaca`, `raw`, or a Jinja file of your own".to_owned()
            }
            Error::TemplateLimit { .. } => {
                "templates in use take a hundredth of that; look for a loop without end in it, or choose another with `--template`".to_owned()
            }
            Error::NoEnd { .. } => {
                "a model that never learns where a response ends goes on without end; name its token there, or give a `--template` that writes one".to_owned()
            }
            Error::TokenGap { .. } => {
                "save the model with a row for every token of its tokenizer: `resize_token_embeddings` of transformers".to_owned()
            }
            Error::Vocabulary { .. } => {
                "the two belong to different models; take the tokenizer the model was saved with".to_owned()
            }
            Error::Device { .. } => "`--device cpu` needs nothing; `--device auto` takes what there is".to_owned(),
            Error::TooLong { .. } => {
                "`--max-length` allows more tokens, up to the model's positions; `--too-long truncate` keeps the first of them".to_owned()
            }
            Error::NotANumber { .. } | Error::Diverged { checkpoint: None, .. } => {
                "look at these samples, or take a smaller `--lr`, a smaller `--clip` or a longer `--warmup`".to_owned()
            }
            Error::Diverged { checkpoint: Some(checkpoint), .. } => format!(
                "the state before that step, the last good one, is in `{}`; the same command would meet the same step: look at these samples, or start over with `--fresh` and a smaller `--lr`, a smaller `--clip` or a longer `--warmup`",
                checkpoint.display()
            ),
            Error::Checkpoint { older: Some(steps), .. } => format!(
                "the one after {steps} steps is whole: remove this file, and the same command goes on there"
            ),
            Error::Checkpoint { older: None, .. } => {
                "no other one can be used: put the file back, or start the fit over with `--fresh`".to_owned()
            }
            Error::FolderOtherFit { .. } => {
                "choose another folder with `--out`, or start over with `--fresh`".to_owned()
            }
            Error::BuildReplaced { .. } => {
                "`--fresh` starts the fit over with the build that is there now".to_owned()
            }
            Error::ShardReplaced { .. } => {
                "the fit is not finished; `--fresh` starts it over with the shards as they are".to_owned()
            }
            Error::FitDamaged { .. } => "put the file back, or start the fit over with `--fresh`".to_owned(),
            Error::Interrupted { .. } => "repeating the command goes on where it stopped".to_owned(),
            Error::MemoryLimit { .. } => {
                "pass a larger `--memory-limit`, or fewer `--threads`, which share it; what is finished is used again".to_owned()
            }
            Error::Sql { message } => sql_hint(message)?.to_owned(),
            Error::SqlIgnored { hint, .. } => hint.clone(),
            Error::Damaged { .. } => "`delia-build --force` with the same settings builds it again".to_owned(),
            _ => return None,
        })
    }

    /// The exit code of a command that ends with this error: 2 for a setting that cannot be meant, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Setting { .. } | Error::RecipeSyntax { .. } => 2,
            Error::TooManyRejects { .. } | Error::SampledShort { .. } => 3,
            Error::Interrupted { .. } => 130,
            _ => 1,
        }
    }

    /// Attaches the path to an error met while reading it.
    pub fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Read { path, source }
    }

    /// Attaches the path to an error met while writing it.
    pub fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Write { path, source }
    }
}

fn not_found_hint(path: &Path) -> String {
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) if !parent.exists() => {
            format!("the folder `{}` does not exist either", parent.display())
        }
        _ => "paths are relative to the current folder, those in a recipe to the recipe".to_owned(),
    }
}

fn write_hint(source: &io::Error) -> Option<String> {
    let full = matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    let forbidden = matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    );
    let hint = if full {
        "make room, then repeat the command: it goes on where it stopped"
    } else if forbidden {
        "let this user write there, or name another place"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// Whether a reader met the end where something had to follow.
fn is_cut_off(cause: &Cause) -> bool {
    let of_io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    let of_json = cause.downcast_ref::<serde_json::Error>();
    let kind = of_io.or(of_json.and_then(serde_json::Error::io_error_kind));
    kind == Some(io::ErrorKind::UnexpectedEof) || of_json.is_some_and(serde_json::Error::is_eof)
}

fn sql_hint(message: &str) -> Option<&'static str> {
    if message.contains("not supported: ") {
        Some(
            "a finished build is only read; SELECT, EXPLAIN, DESCRIBE and SHOW TABLES are understood",
        )
    } else if message.starts_with("table ") && message.ends_with("not found") {
        Some("the tables are `shards`, `dropped`, `sources`, `held_out`, `build` and `stages`")
    } else {
        None
    }
}

/// Rows are called samples where the ratio speaks of them.
fn of_diverse(unit: &str) -> &'static str {
    match unit {
        "tokens" => "tokens of diverse samples",
        _ => "diverse samples",
    }
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
