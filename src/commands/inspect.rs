//! Ready-made reports on a finished build: which of `queries/inspect/*.sql` each consists of.

use std::sync::Arc;

use clap::ValueEnum;
use datafusion::datasource::MemTable;

use crate::error::Result;
use crate::queries::{self, Bound, Query};
use crate::report::Section;
use crate::tables::lift;

use super::sql::SqlTables;

/// Clusters of duplicates that are shown.
const N_CLUSTERS: u64 = 20;

/// Bins of a histogram of lengths on the page.
const N_BINS: u64 = 40;

/// Stretches of the stream in a chart on the page.
const N_STRETCHES: u64 = 60;

/// A ready-made report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// What was built, by kind and by column
    Overview,
    /// What became of every source's rows
    Sources,
    /// How long the texts are, by kind and source
    Lengths,
    /// Clusters of exact and near-duplicates, with places and similarities
    Duplicates,
    /// How diverse the texts are; with `--select diverse` also the draw beside the pool and a random pick
    Diversity,
    /// Requested against achieved, how even the stream is, repeats, stages
    Mix,
    /// Samples at random, the same on every run
    Samples,
}

/// A table of a report: its name, its heading, and its query.
pub(super) type Table = (&'static str, &'static str, Bound);

/// What a report may be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Samples of each kind.
    pub n_samples: u64,
    /// Chooses the samples.
    pub seed: u64,
}

impl Report {
    /// Its name on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        let value = value.expect("no report is hidden from the command line");
        value.get_name().to_owned()
    }

    /// What its queries read beside the tables of the build; made first, and only for it.
    fn inputs(self) -> &'static [(&'static str, Query)] {
        match self {
            Report::Lengths => &[("lengths", Query::Lengths)],
            Report::Duplicates => &[("copies", Query::Copies)],
            Report::Overview
            | Report::Sources
            | Report::Diversity
            | Report::Mix
            | Report::Samples => &[],
        }
    }

    /// Its heading on the page, and what the chapter answers.
    pub(super) fn heading(self) -> (&'static str, &'static str) {
        match self {
            Report::Overview => ("Overview", "What is in the stream, by kind and by column."),
            Report::Sources => (
                "Sources",
                "What became of every source's rows: dropped, held out, unused, used.",
            ),
            Report::Lengths => (
                "Lengths",
                "How long instructions, inputs and outputs are. Empty texts are counted apart.",
            ),
            Report::Duplicates => (
                "Duplicates",
                "What went because a row that stays says the same, exactly or nearly.",
            ),
            Report::Diversity => (
                "Diversity",
                "How often texts repeat words in a row, openings and each other.",
            ),
            Report::Mix => (
                "Mix",
                "What was asked of every source and what it gave, and how even the stream is.",
            ),
            Report::Samples => (
                "Samples",
                "A few samples of either kind at random; the same seed shows the same ones.",
            ),
        }
    }

    /// What its charts on the page need beside its tables.
    pub(super) fn charts(self) -> Vec<Table> {
        match self {
            Report::Lengths => vec![("bins", "", queries::length_bins("characters", N_BINS))],
            Report::Mix => vec![("course", "", queries::mix_course(N_STRETCHES))],
            Report::Overview
            | Report::Sources
            | Report::Duplicates
            | Report::Diversity
            | Report::Samples => vec![],
        }
    }

    /// The tables that every build has.
    fn tables(self, choice: Choice) -> Vec<Table> {
        match self {
            Report::Overview => vec![
                ("build", "The build", queries::plain(Query::Build)),
                ("kinds", "Rows by kind", queries::plain(Query::Kinds)),
                (
                    "columns",
                    "Columns of the shards",
                    queries::plain(Query::Summary),
                ),
            ],
            Report::Sources => vec![
                (
                    "sources",
                    "Rows by source",
                    queries::plain(Query::SourceRows),
                ),
                (
                    "dropped",
                    "Dropped rows by reason",
                    queries::dropped_by_reason(),
                ),
            ],
            Report::Lengths => vec![
                (
                    "quantiles",
                    "Lengths",
                    queries::plain(Query::LengthQuantiles),
                ),
                (
                    "characters",
                    "Texts by their length in characters",
                    queries::length_histogram("characters"),
                ),
                (
                    "words",
                    "Texts by their length in words",
                    queries::length_histogram("words"),
                ),
            ],
            Report::Duplicates => vec![
                (
                    "pairs",
                    "Which source repeats which",
                    queries::plain(Query::DuplicatePairs),
                ),
                (
                    "sizes",
                    "Sizes of clusters",
                    queries::plain(Query::DuplicateSizes),
                ),
                (
                    "similarity",
                    "Similarity of near-duplicates",
                    queries::plain(Query::DuplicateSimilarity),
                ),
                (
                    "clusters",
                    "The largest clusters",
                    queries::duplicate_clusters(N_CLUSTERS),
                ),
            ],
            Report::Mix => vec![
                (
                    "sources",
                    "Requested and achieved",
                    queries::plain(Query::Mix),
                ),
                (
                    "blocks",
                    "Rows of a source in blocks of the stream",
                    queries::plain(Query::MixBlocks),
                ),
                (
                    "repeats",
                    "First and further uses of a sample",
                    queries::plain(Query::MixRepeats),
                ),
                ("stages", "Stages", queries::plain(Query::MixStages)),
            ],
            Report::Diversity => vec![
                (
                    "stream",
                    "The stream by kind and source",
                    queries::diversity_of_stream(choice.seed),
                ),
                (
                    "directions",
                    "In which directions the task is worded",
                    queries::plain(Query::DirectionsOfStream),
                ),
            ],
            Report::Samples => vec![(
                "samples",
                "Samples at random",
                queries::samples(choice.n_samples, choice.seed),
            )],
        }
    }
}

impl SqlTables {
    /// Runs a report.
    ///
    /// # Errors
    /// When one of its queries fails.
    pub async fn report(&self, report: Report, choice: Choice) -> Result<Vec<Section>> {
        self.sections(report, self.tables_of(report, choice)?).await
    }

    /// The tables of a report, those included that only some builds have.
    pub(super) fn tables_of(&self, report: Report, choice: Choice) -> Result<Vec<Table>> {
        let mut tables = report.tables(choice);
        let is_measured = self
            .session
            .table_exist("diversity")
            .map_err(lift("diversity"))?;
        if report == Report::Diversity && is_measured {
            let heading = "The draw beside the pool and a random pick";
            tables.push(("draw", heading, queries::diversity_of_draw()));
        }
        Ok(tables)
    }

    /// Runs queries with the inputs of a report.
    pub(super) async fn sections(
        &self,
        report: Report,
        tables: Vec<Table>,
    ) -> Result<Vec<Section>> {
        for (name, query) in report.inputs() {
            let input = self.section(name, "", &queries::plain(*query)).await?;
            let table = MemTable::try_new(input.schema, vec![input.batches]);
            let registered = table.and_then(|table| {
                // An interrupted report may have left it.
                self.session.deregister_table(*name)?;
                self.session.register_table(*name, Arc::new(table))
            });
            registered.map_err(lift(query.file()))?;
        }
        let mut sections = Vec::new();
        for (name, heading, bound) in tables {
            sections.push(self.section(name, heading, &bound).await?);
        }
        for (name, query) in report.inputs() {
            self.session
                .deregister_table(*name)
                .map_err(lift(query.file()))?;
        }
        Ok(sections)
    }

    /// The rows of a query. Those of reports are few, however large the build is.
    async fn section(
        &self,
        name: &'static str,
        heading: &'static str,
        bound: &Bound,
    ) -> Result<Section> {
        let plan = bound.plan(&self.session).await?;
        let schema = Arc::clone(plan.schema().inner());
        let batches = plan.collect().await.map_err(lift(bound.query.file()))?;
        Ok(Section {
            name,
            heading,
            schema,
            batches,
        })
    }
}
