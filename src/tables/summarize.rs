//! `summarize('table')`: a row for every column: its type, how full it is, how varied, and how its values are spread.
//!
//! `approx_distinct` is an estimate within about 2 % (HyperLogLog); everything else is exact, and all of it the same on every run.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Column, plan_err};
use datafusion::error::Result;
use datafusion::functions::expr_fn::round;
use datafusion::functions_aggregate::expr_fn::{
    approx_distinct, avg, count, max, min, percentile_cont,
};
use datafusion::prelude::{DataFrame, Expr, cast, col, lit};
use datafusion::scalar::ScalarValue;

use super::named_table::rows_of;

const USAGE: &str = "summarize('table')";

#[derive(Debug)]
pub(super) struct Summarize;

impl TableFunctionImpl for Summarize {
    fn call_with_args(
        &self,
        arguments: TableFunctionArgs<'_, '_>,
    ) -> Result<Arc<dyn TableProvider>> {
        let rows = rows_of(&arguments, USAGE)?;
        if arguments.exprs().len() > 1 {
            return plan_err!("{USAGE}: there are too many arguments");
        }
        let fields = rows.schema().fields().clone();
        let mut summary: Option<DataFrame> = None;
        for (nth, field) in fields.iter().enumerate() {
            let of_column = column(&rows, nth as i64, field.name(), field.data_type())?;
            summary = Some(match summary {
                None => of_column,
                Some(summary) => summary.union(of_column)?,
            });
        }
        let Some(summary) = summary else {
            return plan_err!("{USAGE}: the table has no columns");
        };
        let shown = [
            "nth",
            "column_name",
            "column_type",
            "rows",
            "nulls",
            "approx_distinct",
            "min",
            "q25",
            "median",
            "q75",
            "max",
            "mean",
        ];
        let ordered = summary.sort(vec![col("nth").sort(true, false)])?;
        Ok(ordered.select(shown.map(col).to_vec())?.into_view())
    }
}

/// The one row about a column.
fn column(rows: &DataFrame, nth: i64, name: &str, data_type: &DataType) -> Result<DataFrame> {
    let value = || Expr::Column(Column::new_unqualified(name));
    let number = || cast(value(), DataType::Float64);
    let is_number = data_type.is_numeric();
    // Bytes have no text, and lists neither that nor an order.
    let has_text = is_number || matches!(data_type, DataType::Utf8 | DataType::Boolean);
    let none = |data_type: DataType| ScalarValue::try_from(data_type).map(lit);
    let mut aggregates = vec![
        count(lit(1_i64)).alias("rows"),
        count(value()).alias("filled"),
        approx_distinct(value()).alias("approx_distinct"),
    ];
    if has_text {
        aggregates.extend([min(value()).alias("min"), max(value()).alias("max")]);
    }
    if is_number {
        let quantile = |share: f64| percentile_cont(number().sort(true, false), lit(share));
        aggregates.extend([
            quantile(0.25).alias("q25"),
            quantile(0.5).alias("median"),
            quantile(0.75).alias("q75"),
            avg(number()).alias("mean"),
        ]);
    }
    let end = |name: &str| match has_text {
        true => Ok(cast(col(name), DataType::Utf8)),
        false => none(DataType::Utf8),
    };
    // The last digits of a sum depend on the order of its parts.
    let measure = |name: &str| match is_number {
        true => Ok(round(vec![col(name), lit(6_i64)])),
        false => none(DataType::Float64),
    };
    let shown = vec![
        lit(nth).alias("nth"),
        lit(name).alias("column_name"),
        lit(data_type.to_string()).alias("column_type"),
        col("rows"),
        (col("rows") - col("filled")).alias("nulls"),
        cast(col("approx_distinct"), DataType::Int64).alias("approx_distinct"),
        end("min")?.alias("min"),
        measure("q25")?.alias("q25"),
        measure("median")?.alias("median"),
        measure("q75")?.alias("q75"),
        end("max")?.alias("max"),
        measure("mean")?.alias("mean"),
    ];
    rows.clone().aggregate(vec![], aggregates)?.select(shown)
}
