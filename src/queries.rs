//! The pipeline: one variant for each `queries/*.sql`, in the order in which they run, with its parameters.
//!
//! The engine holds the left side of a join in memory and streams the right one, so the side with few rows stands first.

mod explained;

use std::ops::Range;

use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::scalar::ScalarValue;

use crate::config::{BuildConfig, DedupeOn, Order, RewordConfig, Select, Shingle};
use crate::error::Result;
use crate::sample::Kind;
use crate::tables::lift;

pub use explained::{Explained, Explanations};

/// Declares the queries: the variant, its file, and the text compiled in.
macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident = $file:literal,)+) => {
        /// A query of the pipeline.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Query {
            $($(#[$doc])* $name,)+
        }

        impl Query {
            /// All queries, in the order of their files.
            pub const ALL: &[Query] = &[$(Query::$name,)+];

            /// The file below `queries/`.
            pub fn file(self) -> &'static str {
                match self {
                    $(Query::$name => $file,)+
                }
            }

            /// Its text.
            pub fn sql(self) -> &'static str {
                match self {
                    $(Query::$name => include_str!(concat!("../queries/", $file)),)+
                }
            }
        }
    };
}

queries! {
    /// One row shape from any source.
    Normalize = "10_normalize.sql",
    /// Pairs that requests to a language model show.
    Examples = "12_examples.sql",
    /// How many records are unusable.
    Rejects = "15_rejects.sql",
    /// The rows to train on that can be used.
    Usable = "18_usable.sql",
    /// The first of equal samples stays: those that go.
    DedupeExact = "20_dedupe_exact.sql",
    /// Those that stay.
    Firsts = "21_firsts.sql",
    /// How many tokens the samples have.
    Tokens = "22_tokens.sql",
    /// The rows that are compared, as sets of pieces.
    DedupeNear = "30_dedupe_near.sql",
    /// The rows that are compared by ROUGE-L, as words.
    RougeLTexts = "31_rouge_l_texts.sql",
    /// The pieces that many rows have.
    FrequentPieces = "32_frequent_pieces.sql",
    /// The rows that go as near-duplicates by ROUGE-L.
    RougeLDuplicates = "33_rouge_l_duplicates.sql",
    /// What rows measured on ask.
    HeldOutPrompts = "36_held_out_prompts.sql",
    /// The words in a row that rows measured on have.
    HeldOutNgrams = "37_held_out_ngrams.sql",
    /// The rows that may be like them.
    Suspects = "38_suspects.sql",
    /// The rows that share words in a row with them.
    Overlaps = "39_overlaps.sql",
    /// The rows that go because they are what is measured on.
    Decontaminate = "40_decontaminate.sql",
    /// The diverse rows that nothing drops.
    Kept = "42_kept.sql",
    /// The diverse rows that are set aside to measure on.
    HoldOut = "45_hold_out.sql",
    /// The diverse rows to draw from.
    Pool = "46_pool.sql",
    /// How many tokens each source has to give.
    PoolTokens = "47_pool_tokens.sql",
    /// Which samples are of a kind.
    Clusters = "48_clusters.sql",
    /// The order in which each source gives its samples.
    Diversify = "50_diversify.sql",
    /// The tokens of the draws.
    DrawTokens = "52_draw_tokens.sql",
    /// The diverse samples to use.
    Draws = "55_draws.sql",
    /// What is the same in all prompts of a source.
    SharedPrompts = "56_shared_prompts.sql",
    /// What of the task's prompts is instruction.
    PromptParts = "57_prompt_parts.sql",
    /// The instructions to reword.
    Instructions = "58_instructions.sql",
    /// The task samples, to be bettered.
    TaskRows = "59_task_rows.sql",
    /// The task samples in their wordings.
    Reword = "60_reword.sql",
    /// The task samples, bettered.
    Reflected = "61_reflected.sql",
    /// The task rows of the stream.
    Tasks = "64_tasks.sql",
    /// How far the wordings lie apart.
    Spread = "66_spread.sql",
    /// In which directions they are worded.
    Directions = "67_directions.sql",
    /// The texts that positions may have.
    Texts = "68_texts.sql",
    /// The order of the stream.
    Interleave = "70_interleave.sql",
    /// Where a sample stands again.
    Repeats = "71_repeats.sql",
    /// How many tokens each source has in the stream.
    UsedTokens = "72_used_tokens.sql",
    /// The stream with its texts.
    Shards = "75_shards.sql",
    /// What was dropped, and why.
    Dropped = "80_dropped.sql",
    /// What is measured on.
    HeldOut = "85_held_out.sql",
    /// What became of every source's rows.
    Sources = "90_sources.sql",
    /// What is counted of every source's rows.
    Marks = "92_marks.sql",
    /// The pool with what its rows are measured by, and which of them were chosen.
    Compared = "93_compared.sql",
    /// How diverse the pool, a random pick and the chosen rows are.
    Diversity = "95_diversity.sql",
    /// The build in one row.
    Build = "inspect/build.sql",
    /// Duplicates, with the rows that stand in their stead.
    Copies = "inspect/copies.sql",
    /// In which directions the task is worded, to read.
    DirectionsOfStream = "inspect/directions.sql",
    /// How diverse the stream is.
    DiversityOfStream = "inspect/diversity.sql",
    /// How diverse the draw is, to read.
    DiversityOfDraw = "inspect/diversity_of_draw.sql",
    /// How many rows each source lost to which reason.
    DroppedByReason = "inspect/dropped_by_reason.sql",
    /// The largest clusters of duplicates.
    DuplicateClusters = "inspect/duplicate_clusters.sql",
    /// Which source repeats which.
    DuplicatePairs = "inspect/duplicate_pairs.sql",
    /// How similar near-duplicates are.
    DuplicateSimilarity = "inspect/duplicate_similarity.sql",
    /// How large clusters of duplicates are.
    DuplicateSizes = "inspect/duplicate_sizes.sql",
    /// The stream by kind.
    Kinds = "inspect/kinds.sql",
    /// Lengths in equal steps, for a chart.
    LengthBins = "inspect/length_bins.sql",
    /// Lengths in steps that double.
    LengthHistogram = "inspect/length_histogram.sql",
    /// Lengths by kind and source.
    LengthQuantiles = "inspect/length_quantiles.sql",
    /// How many texts have which length.
    Lengths = "inspect/lengths.sql",
    /// What every source was asked for, and what it gave.
    Mix = "inspect/mix.sql",
    /// How even the stream is.
    MixBlocks = "inspect/mix_blocks.sql",
    /// The stream in equal stretches, for a chart.
    MixCourse = "inspect/mix_course.sql",
    /// How often samples are used.
    MixRepeats = "inspect/mix_repeats.sql",
    /// The stages of the stream.
    MixStages = "inspect/mix_stages.sql",
    /// Samples at random.
    Samples = "inspect/samples.sql",
    /// The stream with the names of its files.
    NamedShards = "inspect/shards.sql",
    /// What became of every source's rows, to read.
    SourceRows = "inspect/sources.sql",
    /// The columns of the shards.
    Summary = "inspect/summary.sql",
}

/// Rows whose texts are compared in pairs, each with the next. A distance deviates by 0.05 from row to row of Alpaca, so
/// the mean of so many is known to 0.001.
const ROWS_COMPARED: u64 = 8_192;

/// A query with values for its parameters.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The query.
    pub query: Query,
    /// Its parameters, by name.
    pub parameters: Vec<(&'static str, ScalarValue)>,
}

impl Bound {
    /// Plans the query over the tables registered in `session`.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub async fn plan(&self, session: &SessionContext) -> Result<DataFrame> {
        let planned = session.sql(self.query.sql()).await;
        let bound = planned.and_then(|plan| match self.parameters.as_slice() {
            [] => Ok(plan),
            parameters => plan.with_param_values(parameters.to_vec()),
        });
        let bound = bound.map_err(lift(self.query.file()))?;
        explained::note(session, self, &bound).await?;
        Ok(bound)
    }

    /// What decides the query's result, besides its input tables.
    pub fn fingerprint(&self) -> String {
        format!("{}\n{:?}", self.query.sql(), self.parameters)
    }
}

fn bound(query: Query, parameters: Vec<(&'static str, ScalarValue)>) -> Bound {
    Bound { query, parameters }
}

fn count(n: u64) -> ScalarValue {
    ScalarValue::from(i64::try_from(n).expect("row counts are at most 10^12"))
}

/// `10_normalize.sql` for one source.
pub fn normalize(source_idx: usize, kind: Kind, repair_mojibake: bool) -> Bound {
    let parameters = vec![
        ("source_idx", count(source_idx as u64)),
        ("kind", ScalarValue::from(kind.name())),
        ("repair_mojibake", ScalarValue::from(repair_mojibake)),
    ];
    bound(Query::Normalize, parameters)
}

/// `12_examples.sql`
pub fn examples(seed: u64, most: u64) -> Bound {
    let parameters = vec![("seed", ScalarValue::from(seed)), ("most", count(most))];
    bound(Query::Examples, parameters)
}

/// `15_rejects.sql`
pub fn rejects() -> Bound {
    bound(Query::Rejects, vec![])
}

/// `18_usable.sql`
pub fn usable() -> Bound {
    bound(Query::Usable, vec![])
}

/// `20_dedupe_exact.sql`
pub fn dedupe_exact() -> Bound {
    bound(Query::DedupeExact, vec![])
}

/// `21_firsts.sql`
pub fn firsts() -> Bound {
    bound(Query::Firsts, vec![])
}

/// `22_tokens.sql` for one kind of samples.
pub fn tokens(kind: Kind) -> Bound {
    bound(
        Query::Tokens,
        vec![("kind", ScalarValue::from(kind.name()))],
    )
}

/// `30_dedupe_near.sql`
pub fn dedupe_near(on: DedupeOn, shingle: Shingle) -> Bound {
    let parameters = vec![
        ("on", ScalarValue::from(on.name())),
        ("shingle", ScalarValue::from(shingle.to_string())),
    ];
    bound(Query::DedupeNear, parameters)
}

/// `32_frequent_pieces.sql`
pub fn frequent_pieces(step: u64, rows_above: u64, most: u64) -> Bound {
    let parameters = vec![
        ("step", count(step)),
        ("rows_above", count(rows_above)),
        ("most", count(most)),
    ];
    bound(Query::FrequentPieces, parameters)
}

/// `31_rouge_l_texts.sql`
pub fn rouge_l_texts(on: DedupeOn) -> Bound {
    bound(
        Query::RougeLTexts,
        vec![("on", ScalarValue::from(on.name()))],
    )
}

/// `33_rouge_l_duplicates.sql`
pub fn rouge_l_duplicates() -> Bound {
    bound(Query::RougeLDuplicates, vec![])
}

/// `36_held_out_prompts.sql`
pub fn held_out_prompts() -> Bound {
    bound(Query::HeldOutPrompts, vec![])
}

/// `37_held_out_ngrams.sql`
pub fn held_out_ngrams(words: u8) -> Bound {
    bound(Query::HeldOutNgrams, vec![("words", count(words.into()))])
}

/// `38_suspects.sql` for one kind of rows.
pub fn suspects(kind: Kind, words: u8) -> Bound {
    let parameters = vec![
        ("kind", ScalarValue::from(kind.name())),
        ("words", count(words.into())),
    ];
    bound(Query::Suspects, parameters)
}

/// `39_overlaps.sql` for one kind of rows.
pub fn overlaps(kind: Kind, words: u8) -> Bound {
    let parameters = vec![
        ("kind", ScalarValue::from(kind.name())),
        ("words", count(words.into())),
    ];
    bound(Query::Overlaps, parameters)
}

/// `40_decontaminate.sql` for one kind of rows.
pub fn decontaminate(kind: Kind) -> Bound {
    bound(
        Query::Decontaminate,
        vec![("kind", ScalarValue::from(kind.name()))],
    )
}

/// `42_kept.sql`
pub fn kept() -> Bound {
    bound(Query::Kept, vec![])
}

/// `45_hold_out.sql`, setting `n_rows` aside.
pub fn hold_out(n_rows: u64) -> Bound {
    bound(Query::HoldOut, vec![("n_rows", count(n_rows))])
}

/// `46_pool.sql`
pub fn pool() -> Bound {
    bound(Query::Pool, vec![])
}

/// `47_pool_tokens.sql`
pub fn pool_tokens() -> Bound {
    bound(Query::PoolTokens, vec![])
}

/// `48_clusters.sql`
pub fn clusters(seed: u64) -> Bound {
    bound(Query::Clusters, vec![("seed", ScalarValue::from(seed))])
}

/// `50_diversify.sql`
pub fn diversify(select: Select, seed: u64) -> Bound {
    let parameters = vec![
        ("select", ScalarValue::from(select.name())),
        ("seed", ScalarValue::from(seed)),
    ];
    bound(Query::Diversify, parameters)
}

/// `52_draw_tokens.sql`
pub fn draw_tokens() -> Bound {
    bound(Query::DrawTokens, vec![])
}

/// `55_draws.sql`
pub fn draws(order: Order) -> Bound {
    bound(
        Query::Draws,
        vec![("order", ScalarValue::from(order.name()))],
    )
}

/// `56_shared_prompts.sql`
pub fn shared_prompts() -> Bound {
    bound(Query::SharedPrompts, vec![])
}

/// `57_prompt_parts.sql`; `pattern` finds what is not instruction.
pub fn prompt_parts(pattern: Option<&str>) -> Bound {
    bound(
        Query::PromptParts,
        vec![("pattern", ScalarValue::Utf8(pattern.map(str::to_owned)))],
    )
}

/// `58_instructions.sql`
pub fn instructions() -> Bound {
    bound(Query::Instructions, vec![])
}

/// `60_reword.sql`
pub fn reword(rewording: &RewordConfig, seed: u64) -> Bound {
    let parameters = vec![
        ("variants", count(rewording.variants.into())),
        ("keep_original", ScalarValue::from(rewording.keep_original)),
        ("seed", ScalarValue::from(seed)),
    ];
    bound(Query::Reword, parameters)
}

/// `59_task_rows.sql`
pub fn task_rows() -> Bound {
    bound(Query::TaskRows, vec![])
}

/// `61_reflected.sql`
pub fn reflected(keep_original: bool) -> Bound {
    bound(
        Query::Reflected,
        vec![("keep_original", ScalarValue::from(keep_original))],
    )
}

/// `64_tasks.sql`
pub fn tasks(anchor: Option<&str>) -> Bound {
    bound(
        Query::Tasks,
        vec![("anchor", ScalarValue::Utf8(anchor.map(str::to_owned)))],
    )
}

/// `66_spread.sql`
pub fn spread(seed: u64) -> Bound {
    bound(Query::Spread, of_pairs(seed))
}

/// `67_directions.sql`
pub fn directions() -> Bound {
    bound(Query::Directions, vec![])
}

/// `68_texts.sql`
pub fn texts() -> Bound {
    bound(Query::Texts, vec![])
}

/// `70_interleave.sql` of this build; `ratio` is r·k as a decimal number.
pub fn interleave(config: &BuildConfig, ratio: &str, n_again: u64) -> Bound {
    let parameters = vec![
        ("order", ScalarValue::from(config.order.name())),
        ("ratio", ScalarValue::from(ratio)),
        ("passes", count(config.passes.into())),
        ("n_again", count(n_again)),
        ("leave_out_task", ScalarValue::from(config.leave_out_task)),
        ("seed", ScalarValue::from(config.seed)),
    ];
    bound(Query::Interleave, parameters)
}

/// `71_repeats.sql`
pub fn repeats() -> Bound {
    bound(Query::Repeats, vec![])
}

/// `72_used_tokens.sql`
pub fn used_tokens() -> Bound {
    bound(Query::UsedTokens, vec![])
}

/// `75_shards.sql`, for these positions.
pub fn shards(positions: Range<u64>) -> Bound {
    let parameters = vec![
        ("first_position", count(positions.start)),
        ("end_position", count(positions.end)),
    ];
    bound(Query::Shards, parameters)
}

/// `80_dropped.sql`
pub fn dropped() -> Bound {
    bound(Query::Dropped, vec![])
}

/// `85_held_out.sql` for one kind of rows.
pub fn held_out(kind: Kind) -> Bound {
    bound(
        Query::HeldOut,
        vec![("kind", ScalarValue::from(kind.name()))],
    )
}

/// `90_sources.sql`
pub fn sources() -> Bound {
    bound(Query::Sources, vec![])
}

/// `92_marks.sql`
pub fn marks() -> Bound {
    bound(Query::Marks, vec![])
}

/// `93_compared.sql`
pub fn compared(seed: u64) -> Bound {
    let parameters = vec![
        ("seed", ScalarValue::from(seed)),
        ("unseen", ScalarValue::from(!seed)),
    ];
    bound(Query::Compared, parameters)
}

/// `95_diversity.sql`
pub fn diversity(seed: u64) -> Bound {
    bound(Query::Diversity, of_pairs(seed))
}

/// `inspect/diversity.sql`
pub fn diversity_of_stream(seed: u64) -> Bound {
    bound(Query::DiversityOfStream, of_pairs(seed))
}

/// `inspect/diversity_of_draw.sql`
pub fn diversity_of_draw() -> Bound {
    bound(Query::DiversityOfDraw, vec![])
}

/// Which rows are compared in pairs.
fn of_pairs(seed: u64) -> Vec<(&'static str, ScalarValue)> {
    vec![
        ("n_compared", count(ROWS_COMPARED)),
        ("seed", ScalarValue::from(seed)),
    ]
}

/// `inspect/dropped_by_reason.sql`
pub fn dropped_by_reason() -> Bound {
    bound(Query::DroppedByReason, vec![])
}

/// `inspect/shards.sql`
pub fn named_shards(rows_per_shard: u64) -> Bound {
    bound(
        Query::NamedShards,
        vec![("rows_per_shard", ScalarValue::from(rows_per_shard))],
    )
}

/// A query without parameters.
pub fn plain(query: Query) -> Bound {
    bound(query, vec![])
}

/// `inspect/duplicate_clusters.sql`
pub fn duplicate_clusters(n_clusters: u64) -> Bound {
    bound(
        Query::DuplicateClusters,
        vec![("n_clusters", count(n_clusters))],
    )
}

/// `inspect/length_bins.sql`; `unit` is `characters` or `words`.
pub fn length_bins(unit: &str, n_bins: u64) -> Bound {
    let parameters = vec![("unit", ScalarValue::from(unit)), ("n_bins", count(n_bins))];
    bound(Query::LengthBins, parameters)
}

/// `inspect/length_histogram.sql`; `unit` is `characters` or `words`.
pub fn length_histogram(unit: &str) -> Bound {
    bound(
        Query::LengthHistogram,
        vec![("unit", ScalarValue::from(unit))],
    )
}

/// `inspect/mix_course.sql`
pub fn mix_course(n_stretches: u64) -> Bound {
    bound(Query::MixCourse, vec![("n_stretches", count(n_stretches))])
}

/// `inspect/samples.sql`
pub fn samples(n_samples: u64, seed: u64) -> Bound {
    let parameters = vec![
        ("n_samples", count(n_samples)),
        ("seed", ScalarValue::from(seed)),
    ];
    bound(Query::Samples, parameters)
}
