//! What people read: tables on the terminal and in Markdown, and the summary of a build.
//!
//! Polars pivots, joins and sorts the small frames shown here; it never reads shards.

mod build;
mod dry_run;
mod fit;
mod metrics;
mod rows;
mod table;

pub use build::{BuildReport, Outcome};
pub use dry_run::{DryRun, SourceRead};
pub use fit::{FitReport, LossRow, Tried, loss_rows};
pub use metrics::{Metrics, MetricsLog};
pub use rows::{Format, RowPrinter};
