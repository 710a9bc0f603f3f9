//! Delia turns a handful of task samples and hundreds of times as many diverse samples into one well-ordered stream of
//! Parquet shards, to fit an adapter to: DELIA, Diversity-Enhanced Learning for Instruction Adaptation (Zeng et al. 2024,
//! arXiv 2408.10841).
//!
//! ```text
//!   files, bundled sets, procedural sampler, a language model (llm: asked over http, no answer paid for twice)
//!      │ sources          records, each with its place
//!      ▼
//!   tables ─ queries      10 normalize → 20, 30 dedupe → 40 decontaminate → 45 hold out → 50 diversify → 60 reword
//!      │                  → 70 interleave → 75 shards (DataFusion plans and runs queries/*.sql)
//!      ▼
//!   shards                00000.parquet …, plan and manifest beside them, in a folder or behind an address
//!      │ loader           read in order as they come, tokenised ahead, put into micro-batches
//!      ▼
//!   model ─ lora          a frozen decoder with adapters beside its matrices (burn computes)
//!      │ trainer          micro-batches → summed gradient → clipped → AdamW
//!      ▼
//!   adapter/              PEFT's format; checkpoint keeps the state of an unfinished fit
//! ```
//!
//! [`commands`] says in which order all that happens, [`report`] shows what came of it.
//!
//! Modules stand in reading order, and each imports only from those above it; a test holds them to it.
//!
//! What is deliberately absent: global state, clocks and random generators in the path from source to shard (the same
//! recipe and seed give the same bytes), SQL put together from strings, and output of any kind from the library.

pub mod error;

pub mod config;

pub mod sample;

pub mod base_model;

pub mod tokenizer;

#[cfg(any(feature = "build", feature = "fit"))]
pub mod http;

#[cfg(feature = "build")]
pub mod llm;

#[cfg(feature = "build")]
pub mod sources;

#[cfg(feature = "build")]
pub mod reword;

#[cfg(feature = "build")]
pub mod tables;

#[cfg(feature = "build")]
pub mod queries;

pub mod shards;

pub mod report;

#[cfg(feature = "fit")]
pub mod device;

#[cfg(feature = "fit")]
pub mod model;

#[cfg(feature = "fit")]
pub mod loader;

#[cfg(feature = "fit")]
pub mod lora;

#[cfg(feature = "fit")]
pub mod checkpoint;

#[cfg(feature = "fit")]
pub mod trainer;

#[cfg(feature = "fit")]
pub mod estimate;

#[cfg(feature = "fit")]
pub mod generate;

pub mod commands;
