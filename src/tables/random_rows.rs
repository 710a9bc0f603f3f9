//! `random_rows('table', n[, seed])`: n rows of a table at random, the same on every run and for every number of threads.
//!
//! Each row has a hash keyed with the seed of where it comes from; the rows with the smallest ones are taken, in their order.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::prelude::{Expr, cast, col, lit};

use super::named_table::{rows_of, whole_number};
use super::{sample_id, seeded_hash};

const USAGE: &str = "random_rows('table', n[, seed])";

/// The columns that say which row of a table a row is, in tables that have them.
const IDENTITY: [&str; 3] = ["source", "source_row", "position"];

#[derive(Debug)]
pub(super) struct RandomRows;

impl TableFunctionImpl for RandomRows {
    fn call_with_args(
        &self,
        arguments: TableFunctionArgs<'_, '_>,
    ) -> Result<Arc<dyn TableProvider>> {
        let rows = rows_of(&arguments, USAGE)?;
        let Some(n_rows) = whole_number(&arguments, 1, USAGE)? else {
            return plan_err!("{USAGE}: how many rows?");
        };
        let seed = whole_number(&arguments, 2, USAGE)?.unwrap_or(0);
        if arguments.exprs().len() > 3 {
            return plan_err!("{USAGE}: there are too many arguments");
        }
        let columns: Vec<String> = rows
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let has = |name: &str| columns.iter().any(|column| column == name);
        if !has(IDENTITY[0]) {
            return plan_err!("{USAGE}: the table's rows have no `source` that tells them apart");
        }
        let texts = IDENTITY.map(|name| {
            if has(name) {
                cast(col(name), DataType::Utf8)
            } else {
                lit("")
            }
        });
        let id = sample_id::function().call(texts.to_vec());
        let hash =
            seeded_hash::function().call(vec![id, lit("random_rows"), lit(0_i64), lit(seed)]);
        let places = IDENTITY
            .iter()
            .filter(|name| has(name))
            .map(|name| col(*name));
        let order = std::iter::once(hash)
            .chain(places)
            .map(|key| key.sort(true, false))
            .collect();
        let n_rows = usize::try_from(n_rows).unwrap_or(usize::MAX);
        let chosen = rows.sort(order)?.limit(0, Some(n_rows))?;
        let shown: Vec<Expr> = columns.iter().map(col).collect();
        Ok(chosen.select(shown)?.into_view())
    }
}
