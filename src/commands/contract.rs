//! What was asked for beside what was written, for the manifest.

use std::collections::BTreeMap;

use crate::config::{BuildConfig, Mix, Unit};
use crate::error::Result;
use crate::sample::Kind;
use crate::shards::{MixRows, RatioRows, RatioTokens, SourceRows};

use super::draw::Drawn;

/// Tokens of the task samples, and of every source's rows in the stream.
pub(super) struct TokenSums {
    pub(super) task: u64,
    pub(super) by_source: BTreeMap<usize, u64>,
}

/// The ratio as it was asked for and as it was met.
///
/// # Errors
/// When it asks for more than a build can hold.
pub(super) fn ratio_rows(
    config: &BuildConfig,
    n_tasks: u64,
    n_again: u64,
    drawn: &Drawn,
    tokens: Option<&TokenSums>,
) -> Result<RatioRows> {
    let passes = u64::from(config.passes);
    let task_rows = n_tasks * passes;
    let requested = |n: u64| config.draws(n).map(|draws| draws * passes);
    let per_task =
        |diverse: u64, task: u64| diverse as f64 / task as f64 / f64::from(config.iterations);
    let of_tokens = |sums: &TokenSums| -> Result<RatioTokens> {
        let of_source = |idx: usize| sums.by_source.get(&idx).copied().unwrap_or(0);
        let achieved_tokens = drawn
            .sources
            .iter()
            .map(|source| of_source(source.source_idx))
            .sum();
        let task_tokens = sums.task * passes;
        Ok(RatioTokens {
            requested_tokens: requested(sums.task)?,
            achieved_tokens,
            task_tokens,
            achieved: match task_tokens {
                0 => None,
                _ => Some(per_task(achieved_tokens, task_tokens)),
            },
        })
    };
    Ok(RatioRows {
        requested: config.ratio,
        unit: config.ratio_unit,
        iterations: config.iterations,
        passes: config.passes,
        requested_rows: match config.ratio_unit {
            Unit::Rows => Some(requested(n_tasks)?),
            Unit::Tokens => None,
        },
        achieved_rows: drawn.n_diverse(),
        task_rows,
        again_rows: n_again * passes,
        achieved: per_task(drawn.n_diverse(), task_rows),
        tokens: tokens.map(of_tokens).transpose()?,
    })
}

/// Adds to each source what was asked of it. `rows` are in the order of the sources.
pub(super) fn add_mix(
    rows: &mut [SourceRows],
    mixes: &[Mix],
    config: &BuildConfig,
    drawn: &Drawn,
    tokens: Option<&TokenSums>,
) {
    for source in &drawn.sources {
        let mix = mixes[source.source_idx];
        let asked = |unit| (config.ratio_unit == unit).then_some(source.requested);
        rows[source.source_idx].mix = Some(MixRows {
            weight: mix.weight,
            cap: mix.cap,
            group: mix.group,
            requested_rows: asked(Unit::Rows),
            requested_tokens: asked(Unit::Tokens),
            achieved_rows: source.n_draws(),
            achieved_by_pass: source.draws.clone(),
        });
    }
    if let Some(sums) = tokens {
        for (idx, row) in rows.iter_mut().enumerate() {
            let of_stream = sums.by_source.get(&idx).copied().unwrap_or(0);
            row.tokens = (row.kind != Kind::HeldOut).then_some(of_stream);
        }
    }
}
