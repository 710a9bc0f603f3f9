//! What there is to query: tables, their columns, functions.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};

use crate::error::{Error, Result};
use crate::report::Section;
use crate::tables::lift;

use super::prompt::Names;
use super::sql::SqlTables;

/// The tables of a build, and what a row of each is.
const TABLES: [(&str, &str); 6] = [
    ("shards", "a sample of the stream, in the order of training"),
    ("dropped", "a record that is not in the shards, and why"),
    ("sources", "a source, and what became of its rows"),
    ("held_out", "a sample to measure on"),
    (
        "build",
        "the build: what was asked for, and what came of it",
    ),
    ("stages", "a stretch of the stream, with its first position"),
];

impl SqlTables {
    /// What one may type: the names of tables, of their columns, of functions.
    pub async fn names(&self) -> Names {
        let state = self.session.state();
        let mut names = Names::default();
        for (table, _) in TABLES {
            names.tables.push(table.to_owned());
            if let Ok(rows) = self.session.table(table).await {
                let columns = rows.schema().fields().iter();
                names
                    .columns
                    .extend(columns.map(|field| field.name().clone()));
            }
        }
        let functions = &mut names.functions;
        functions.extend(state.scalar_functions().keys().cloned());
        functions.extend(state.aggregate_functions().keys().cloned());
        functions.extend(state.window_functions().keys().cloned());
        functions.extend(state.table_functions().keys().cloned());
        for list in [&mut names.columns, &mut names.functions] {
            list.sort();
            list.dedup();
        }
        names
    }

    /// The tables, each with the number of its columns and what a row of it is.
    ///
    /// # Errors
    /// When a table cannot be looked up.
    pub async fn tables(&self) -> Result<Section> {
        let mut n_columns = Vec::new();
        for (table, _) in TABLES {
            let rows = self.session.table(table).await.map_err(lift(table))?;
            n_columns.push(rows.schema().fields().len() as i64);
        }
        let texts = |text: fn(&(&'static str, &'static str)) -> &'static str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(TABLES.iter().map(text)))
        };
        section(
            "tables",
            [
                ("table", texts(|(table, _)| table)),
                ("columns", Arc::new(Int64Array::from(n_columns))),
                ("a row is", texts(|(_, meaning)| meaning)),
            ],
        )
    }

    /// The columns of a table.
    ///
    /// # Errors
    /// When there is no such table.
    pub async fn columns(&self, table: &str) -> Result<Section> {
        let missing = |_| Error::Sql {
            message: format!("table '{table}' not found"),
        };
        let rows = self.session.table(table).await.map_err(missing)?;
        let fields = rows.schema().fields();
        let names = fields.iter().map(|field| field.name());
        let types = fields.iter().map(|field| field.data_type().to_string());
        let nullable = fields.iter().map(|field| field.is_nullable());
        section(
            "columns",
            [
                (
                    "column",
                    Arc::new(StringArray::from_iter_values(names)) as ArrayRef,
                ),
                ("type", Arc::new(StringArray::from_iter_values(types))),
                (
                    "nullable",
                    Arc::new(nullable.map(Some).collect::<BooleanArray>()),
                ),
            ],
        )
    }
}

fn section<const N: usize>(name: &'static str, columns: [(&str, ArrayRef); N]) -> Result<Section> {
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| lift(name)(error.into()))?;
    Ok(Section {
        name,
        heading: name,
        schema: batch.schema(),
        batches: vec![batch],
    })
}
