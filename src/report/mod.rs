//! What people read: tables on the terminal and in Markdown, the summary of a build, and its page.
//!
//! Polars pivots, joins and sorts the small frames shown here; it never reads shards.

mod build;
mod chart;
mod dry_run;
mod fit;
mod metrics;
mod page;
mod rows;
mod sections;
mod table;

pub use build::{BuildReport, Outcome, grouped};
pub use chart::{Bar, Chart, Column, Series, Tick};
pub use dry_run::{DryRun, SourceRead};
pub use fit::{FitReport, LossRow, Tried, loss_rows};
pub use metrics::{Metrics, MetricsLog};
pub use page::{Chapter, Figure, Page, PageTable, SampleCard};
pub use rows::{Format, RowPrinter};
pub use sections::{Section, print_sections};
