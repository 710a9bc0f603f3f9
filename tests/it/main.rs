//! One binary for all tests from outside, so that the crate is linked once.

/// The real binaries, scratch folders, and shards read back.
mod delia;

/// A fit that goes on from an adapter.
mod adapter;
/// Every error a user can provoke.
mod bad_input;
/// Weights that are not what they say.
mod bad_weights;
/// What `data/` promises.
mod bundled;
/// Conversations.
mod chat;
/// The checkpoints of a fit: kept, refused, gone on from at any moment; what is measured on the way.
mod checkpoints;
/// What a build contains: the ratio, the order, every row accounted for.
mod contract;
/// The parity tests on a GPU, where there is one.
#[cfg(feature = "cuda")]
mod cuda;
/// What is measured on stays out of the shards.
mod decontaminate;
/// How diverse a selection is, beside the pool and random rows.
mod diversity;
/// Bytes that are not UTF-8, text that was misread, and how much of that is too much.
mod encodings;
/// `--explain` and `--dry-run`.
mod explain;
/// What a fit leaves besides its adapter, scored beside it.
mod export;
/// A language model that misbehaves on command.
mod fake_model;
/// `delia-fit`.
mod fit;
/// What happens when something is in the folder already.
mod folders;
/// The decoder beside transformers, a training beside PEFT.
mod golden_models;
/// Rooms import only from rooms above them.
mod layering;
/// The client for language models.
mod llm;
/// Weights, caps, passes and the diverse selection.
mod mix;
/// Near-duplicates, against their definition.
mod near;
/// The orders of the stream.
mod orders;
/// Adapters loaded in PEFT, where `DELIA_PEFT_PYTHON` names a Python that has it.
mod peft;
/// `queries/*.sql` are those the code knows, with the parameters it binds.
mod queries;
/// A ratio in tokens, and what a tokenizer adds to a build.
mod ratio_tokens;
/// The commands of the README.
mod readme;
/// Real datasets, where `DELIA_REAL_DATA` names their folder.
mod real_data;
/// The recipes that come with the program.
mod recipes;
/// Sources from the network and from standard input.
mod remote;
/// The ready-made reports of `delia-sql`, and its page.
mod report;
/// A fit that is stopped and goes on, and what its folder keeps when it fails.
mod resume;
/// Task instructions in other words: by rules and by a language model.
mod rewording;
/// Near-duplicates by ROUGE-L, beside Google's rouge_score.
mod rouge_l;
/// The same recipe gives the same bytes, however it is run.
mod same_bytes;
/// Samples from a language model.
mod sampling;
/// A web server for tests.
mod server;
/// Every format, compression and column name a source may have.
mod sources;
/// `delia-sql`.
mod sql;
/// Shards that come while they are trained on: from a server, and from a build that is still writing.
mod streaming;
/// Chat templates: beside transformers, and those that are wrong or mean harm.
mod templates;
/// What a training may change, and what not.
mod training;
/// What a fit shows: its plan, its curves, its schedule and where that comes from.
mod watch;
