//! What a build would do: `--explain` shows its queries as they would run, `--dry-run` what it would read and mix.
//!
//! Both make the draw in a folder that is thrown away: what a parameter is, what a plan looks like and how many rows there
//! are is decided by the data, and nothing but the draw itself says it truly. No shard is written, and the output folder is
//! neither read nor made.

use std::path::Path;

use serde::Serialize;

use crate::config::BuildConfig;
use crate::error::Result;
use crate::queries::{self, Explained, Explanations};
use crate::report::{DryRun, SourceRead};
use crate::shards::OutFolder;
use crate::sources::{self, Access};
use crate::tables::{Engine, lift, session};

use super::account;
use super::build::Progress;
use super::deal;
use super::line::Line;
use super::tokens::Tokens;

/// The queries of a build, in the order in which they run.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Explanation {
    /// A query for every time it runs.
    pub queries: Vec<Explained>,
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, explained) in self.queries.iter().enumerate() {
            let is_new = self.queries[..nth]
                .iter()
                .all(|other| other.query != explained.query);
            writeln!(f, "{explained}")?;
            match is_new {
                true => writeln!(f, "{}", explained.sql)?,
                false => writeln!(f, "-- its text stands above\n")?,
            }
        }
        Ok(())
    }
}

/// Every query of the build, with its parameters and plans. What is needed on the way is written to `scratch`, an empty
/// folder.
///
/// # Errors
/// Those of a build.
pub async fn explain(
    config: &BuildConfig,
    accept_changed: bool,
    engine: &Engine,
    access: &Access,
    scratch: &Path,
    progress: &dyn Fn(Progress),
) -> Result<Explanation> {
    let (_, mut queries) =
        rehearse(config, accept_changed, engine, access, scratch, progress).await?;
    // The folder is gone when this is read; what matters is that it is the one for stages.
    let folders = [scratch.canonicalize().ok(), Some(scratch.to_owned())];
    for folder in folders.into_iter().flatten() {
        let folder = folder.to_string_lossy();
        let inside = folder.trim_start_matches('/');
        for explained in &mut queries {
            let plan = &mut explained.physical_plan;
            *plan = plan.replace(folder.as_ref(), "OUT").replace(inside, "OUT");
        }
    }
    Ok(Explanation { queries })
}

/// What the build would read, and the mix it would write. What is needed on the way is written to `scratch`, an empty folder.
///
/// # Errors
/// Those of a build.
pub async fn dry_run(
    config: &BuildConfig,
    accept_changed: bool,
    engine: &Engine,
    access: &Access,
    scratch: &Path,
    progress: &dyn Fn(Progress),
) -> Result<DryRun> {
    let (run, _) = rehearse(config, accept_changed, engine, access, scratch, progress).await?;
    Ok(run)
}

/// A build up to its first shard.
async fn rehearse(
    config: &BuildConfig,
    accept_changed: bool,
    engine: &Engine,
    access: &Access,
    scratch: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(DryRun, Vec<Explained>)> {
    let fetching = |download| progress(Progress::Fetching(download));
    let sources = sources::resolve(config, accept_changed, access, &fetching).await?;
    let read = sources
        .iter()
        .map(|source| {
            let shape = source.shape()?;
            Ok(SourceRead {
                path: source.path.clone(),
                format: shape.format.to_owned(),
                bytes: shape.bytes,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let folder = OutFolder::lock(scratch)?;
    let tokens = Tokens::open(config, accept_changed)?;
    let recipe = config.freeze(sources::freeze(&sources, folder.path()));
    folder.begin(&recipe.to_toml())?;
    let session = session(engine, &folder.stages())?;
    let explanations = Explanations::of(&session);
    let mut line = Line::new(
        config,
        engine,
        folder.path(),
        &session,
        &folder,
        sources,
        tokens,
        None,
        progress,
    );
    let stream = line.draw().await?;
    let plan = stream.plan(config);
    let whole = deal::whole(0..plan.rows);
    whole.register(&session).await.map_err(lift("texts"))?;
    queries::shards(whole.positions).plan(&session).await?;
    let files = account::write_files(&session, &folder, progress).await?;
    // What the manifest asks is asked after the build.
    let explained = explanations.take();
    let manifest = line.manifest(&folder, &stream, plan, files).await?;
    let run = DryRun {
        order: config.order.name().to_owned(),
        read,
        ratio: manifest.ratio,
        plan: manifest.plan,
        sources: manifest.sources,
    };
    Ok((run, explained))
}
