//! What people read: tables on the terminal and in Markdown, the summary of a build, and its page.
//!
//! Polars pivots, joins and sorts the small frames shown here; it never reads shards.

mod build;
mod chart;
mod dry_run;
mod fit;
mod fit_plan;
mod loss_chart;
mod metrics;
mod page;
mod rows;
mod sections;
mod table;

#[cfg(feature = "fit")]
pub mod tensorboard;

pub use build::{BuildReport, Outcome, grouped};
pub use chart::{Bar, Chart, Column, Series, Tick};
pub use dry_run::{DryRun, SourceRead};
pub use fit::{FitReport, LossRow, Tried, held_out_rows, loss_rows};
pub use fit_plan::{
    AdaptersPlan, FitPlan, MemoryPlan, SamplesPlan, StepsPlan, TimePlan, TrainedPlan,
};
pub use loss_chart::{HeldOut, held_out_points, loss_chart};
pub use metrics::{BestStep, HeldOutLosses, Metrics, MetricsLog, best_step};
pub use page::{Chapter, Figure, Page, PageTable, SampleCard};
pub use rows::{Format, RowPrinter};
pub use sections::{Section, print_sections};
