//! `task_of_draw(ratio, draw)`: the task sample that a draw follows in strict order, both counted from 0.

use datafusion::logical_expr::ScalarUDF;

use crate::config::Ratio;

use super::draws_until::of_ratio;

pub(super) fn function() -> ScalarUDF {
    of_ratio("task_of_draw", Ratio::task_of_draw)
}
