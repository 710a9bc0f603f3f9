//! `delia-build`: sources → normalize → dedupe → diversify → interleave → shards.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use crate::config::{BuildConfig, Select};
use crate::error::Result;
use crate::llm::Asked;
use crate::report::{BuildReport, Outcome};
use crate::shards::{Manifest, OutFolder, PLAN, RECIPE, State};
use crate::sources::{self, Access, Download, Source};
use crate::tables::{Engine, session};

use super::account;
use super::line::Line;
use super::measure;
use super::model::Model;
use super::sampling;
use super::tokens::Tokens;
use super::write_shards::write_shards;

/// What a build is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A source elsewhere is on its way.
    Fetching(Download),
    /// A language model is asked.
    Asking {
        /// How far that is.
        asked: Asked,
        /// What it is asked for.
        what: &'static str,
        /// How many of these stay so far.
        kept: u64,
        /// How many are wanted.
        wanted: u64,
    },
    /// Reading this source.
    Reading(String),
    /// Running this query.
    Query(&'static str),
    /// This many of so many rows are in shards.
    Writing {
        /// Rows written.
        done: u64,
        /// Rows in all.
        total: u64,
    },
}

/// How to treat what is there already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permissions {
    /// Replace the build in the output folder.
    pub force: bool,
    /// Build although a source differs from the recipe's hash.
    pub accept_changed: bool,
}

/// Builds the shards that `config` describes into `out`.
///
/// The bytes written depend on `config`, the sources and this crate's version alone.
///
/// # Errors
/// Any [`Error`](crate::error::Error); whatever it is, nothing of the user's is lost, and repeating the call goes on where it stopped.
pub async fn build(
    config: &BuildConfig,
    out: &Path,
    permissions: Permissions,
    engine: &Engine,
    access: &Access,
    progress: &dyn Fn(Progress),
) -> Result<BuildReport> {
    let started = Instant::now();
    let fetching = |download| progress(Progress::Fetching(download));
    let mut sources =
        sources::resolve(config, permissions.accept_changed, access, &fetching).await?;
    let folder = OutFolder::lock(out)?;
    let model = Model::open(config, &sources, access, progress)?;
    let written = write(
        config,
        &mut sources,
        &folder,
        permissions,
        engine,
        access,
        model.as_ref(),
        progress,
    )
    .await;
    // Whatever came of it: answers are waited for.
    if let Some(model) = model {
        model.close().await;
    }
    let (outcome, notes, manifest) = written?;
    Ok(BuildReport {
        notes,
        out: out.to_owned(),
        outcome,
        elapsed: started.elapsed(),
        manifest,
    })
}

/// Writes what is not there yet; also says what this run did besides.
#[expect(
    clippy::too_many_arguments,
    reason = "what a build has at hand, in one call"
)]
async fn write(
    config: &BuildConfig,
    sources: &mut [Source],
    folder: &OutFolder,
    permissions: Permissions,
    engine: &Engine,
    access: &Access,
    model: Option<&Model<'_>>,
    progress: &dyn Fn(Progress),
) -> Result<(Outcome, Vec<String>, Manifest)> {
    let out = folder.path();
    let mut notes = Vec::new();
    if let Some(model) = model {
        // Nothing is paid for that has no place to go.
        folder.holds_a_build()?;
        notes = sampling::fill(config, sources, model, engine, access, progress).await?;
    }
    let tokens = Tokens::open(config, permissions.accept_changed)?;
    let mut recipe = config.freeze(sources::freeze(sources, out));
    if let (Some(tokens), Some(table)) = (&tokens, &mut recipe.build) {
        tokens.freeze(table, out);
    }
    let recipe = recipe.to_toml();
    // What is to be replaced stays until the draw has succeeded.
    let replaces = permissions.force && folder.holds_a_build()?;
    if replaces {
        folder.make_stages()?;
    } else if let State::Complete(manifest) = folder.state(&recipe)? {
        return Ok((Outcome::UpToDate, notes, *manifest));
    } else {
        folder.begin(&recipe)?;
    }
    folder.remove_scratch()?;
    let session = session(engine, &folder.stages())?;
    let sources = sources.to_vec();
    let mut line = Line::new(
        config, engine, out, &session, folder, sources, tokens, model, progress,
    );
    let stream = line.draw().await?;
    notes.extend_from_slice(stream.notes());
    if replaces {
        folder.clear()?;
    }
    let recipe = folder.begin(&recipe)?;
    let plan = stream.plan(config);
    let mut files = BTreeMap::from([
        (RECIPE.to_owned(), recipe),
        (PLAN.to_owned(), folder.write_plan(&plan)?),
    ]);
    files.extend(
        write_shards(
            &session,
            engine.memory_bytes,
            folder,
            &plan,
            stream.order(),
            progress,
        )
        .await?,
    );
    files.extend(account::write_files(&session, folder, progress).await?);
    if config.select == Select::Diverse {
        files.extend(measure::write_diversity(&line.stages, config.seed, folder, progress).await?);
    }
    let manifest = line.manifest(folder, &stream, plan, files).await?;
    folder.finish(&manifest)?;
    Ok((Outcome::Built, notes, manifest))
}
