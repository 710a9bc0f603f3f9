//! What table functions share: their arguments, and the table one of them names.

use datafusion::catalog::TableFunctionArgs;
use datafusion::common::plan_datafusion_err;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;
use futures::FutureExt;

/// The rows of the table that an argument names.
pub(super) fn rows_of(arguments: &TableFunctionArgs<'_, '_>, usage: &str) -> Result<DataFrame> {
    let wrong = || plan_datafusion_err!("{usage}: a table's name in single quotes is expected");
    let name = match arguments.exprs().first() {
        Some(Expr::Literal(ScalarValue::Utf8(Some(name)), _)) => name,
        _ => return Err(wrong()),
    };
    let state = arguments.session().as_any().downcast_ref::<SessionState>();
    let state =
        state.ok_or_else(|| plan_datafusion_err!("{usage}: no session to look up `{name}` in"))?;
    let missing = || plan_datafusion_err!("table '{name}' not found");
    let schema = state.schema_for_ref(name.as_str()).map_err(|_| missing())?;
    // Our tables are in memory, so the answer is there at once.
    let table = schema.table(name).now_or_never().transpose()?.flatten();
    let scan =
        LogicalPlanBuilder::scan(name, provider_as_source(table.ok_or_else(missing)?), None)?;
    Ok(DataFrame::new(state.clone(), scan.build()?))
}

/// The whole number at a place of the arguments, or `None` where there are fewer.
pub(super) fn whole_number(
    arguments: &TableFunctionArgs<'_, '_>,
    place: usize,
    usage: &str,
) -> Result<Option<u64>> {
    let wrong = || plan_datafusion_err!("{usage}: a whole number from 0 on is expected");
    match arguments.exprs().get(place) {
        None => Ok(None),
        Some(Expr::Literal(ScalarValue::Int64(Some(number)), _)) => {
            u64::try_from(*number).map(Some).map_err(|_| wrong())
        }
        Some(Expr::Literal(ScalarValue::UInt64(Some(number)), _)) => Ok(Some(*number)),
        Some(_) => Err(wrong()),
    }
}
