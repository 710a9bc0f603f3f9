//! SQL that the engine parses and then ignores is refused: a result that is silently another one is worse than none.
//!
//! The fields of the parser's types are named one by one, so that what a newer parser adds has to be looked at here.

use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    DataType, DuplicateTreatment, ExactNumberInfo, Expr, Function, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, Query, Select, SelectFlavor, TableAlias, TableFactor, Visit,
    Visitor,
};

use crate::error::{Error, Result};

/// How to have what `TABLESAMPLE` promises.
const SAMPLE_HINT: &str = "`random_rows('shards', 100)` has 100 rows at random, `random_rows('shards', 100, 7)` others, each the same on every run";

/// Refuses what the engine would ignore, wherever it stands in the statement.
///
/// # Errors
/// [`Error::SqlIgnored`] with the first such clause.
pub fn refuse_ignored(statement: &Statement, session: &SessionState) -> Result<()> {
    let found = match statement {
        Statement::Statement(statement) => statement.visit(&mut Search { session }),
        Statement::CopyTo(_) | Statement::CreateExternalTable(_) | Statement::Reset(_) => {
            ControlFlow::Continue(())
        }
        Statement::Explain(explain) => return refuse_ignored(&explain.statement, session),
    };
    match found {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(Ignored { clause, hint }) => Err(Error::SqlIgnored {
            clause,
            hint: hint.to_owned(),
        }),
    }
}

struct Search<'a> {
    session: &'a SessionState,
}

struct Ignored {
    clause: String,
    hint: &'static str,
}

/// Stops the search when a clause is there.
fn refuse(is_there: bool, clause: &str, hint: &'static str) -> ControlFlow<Ignored> {
    if is_there {
        let clause = clause.to_owned();
        return ControlFlow::Break(Ignored { clause, hint });
    }
    ControlFlow::Continue(())
}

impl Visitor for Search<'_> {
    type Break = Ignored;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Ignored> {
        let Query {
            with: _,
            body: _,
            order_by: _,
            limit_clause: _,
            fetch: _,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators: _,
        } = query;
        let nothing_to_lock = "a finished build is only read; leave it out";
        refuse(!locks.is_empty(), "FOR UPDATE", nothing_to_lock)?;
        refuse(
            for_clause.is_some(),
            "FOR XML",
            "`--format json` prints JSON",
        )?;
        refuse(settings.is_some(), "SETTINGS", "leave it out")?;
        let format = "`--format csv` chooses how rows are printed";
        refuse(format_clause.is_some(), "FORMAT", format)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Ignored> {
        let Select {
            select_token: _,
            optimizer_hints: _,
            distinct: _,
            select_modifiers,
            top: _,
            top_before_distinct: _,
            projection: _,
            exclude,
            into: _,
            from,
            lateral_views: _,
            prewhere,
            selection: _,
            connect_by,
            group_by,
            cluster_by: _,
            distribute_by: _,
            sort_by: _,
            having: _,
            named_window: _,
            qualify: _,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        let is_bare = *flavor == SelectFlavor::FromFirstNoSelect;
        refuse(is_bare, "FROM without SELECT", "write `SELECT * FROM …`")?;
        refuse(
            select_modifiers.is_some(),
            "the word after SELECT",
            "leave it out",
        )?;
        refuse(
            exclude.is_some(),
            "EXCLUDE",
            "write it behind the star: `* EXCLUDE (output)`",
        )?;
        refuse(prewhere.is_some(), "PREWHERE", "write `WHERE`")?;
        refuse(
            !connect_by.is_empty(),
            "CONNECT BY",
            "`WITH RECURSIVE` is understood",
        )?;
        refuse(
            value_table_mode.is_some(),
            "SELECT AS",
            "`SELECT struct(…)` makes one value of several",
        )?;
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = group_by;
        if let Some(modifier) = modifiers.first() {
            let hint = "`GROUP BY ROLLUP (…)`, `CUBE (…)` and `GROUPING SETS (…)` are understood";
            refuse(true, &modifier.to_string(), hint)?;
        }
        let is_global = from
            .iter()
            .flat_map(|table| &table.joins)
            .any(|join| join.global);
        refuse(is_global, "GLOBAL", "write the join without it")
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Ignored> {
        match table {
            TableFactor::Table {
                name: _,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                refuse(sample.is_some(), "TABLESAMPLE", SAMPLE_HINT)?;
                refuse(
                    version.is_some(),
                    "a table's version",
                    "a build has one only",
                )?;
                refuse(*with_ordinality, "WITH ORDINALITY", NUMBER_HINT)?;
                refuse(!with_hints.is_empty(), "WITH (…)", "leave it out")?;
                refuse(
                    !partitions.is_empty(),
                    "PARTITION (…)",
                    "`WHERE` selects rows",
                )?;
                refuse(
                    json_path.is_some(),
                    "a path behind a table's name",
                    "leave it out",
                )?;
                refuse(
                    !index_hints.is_empty(),
                    "an index hint",
                    "there are no indices; leave it out",
                )?;
                let settings = args.as_ref().is_some_and(|args| args.settings.is_some());
                refuse(settings, "SETTINGS", "leave it out")?;
                typed_alias(alias.as_ref())
            }
            TableFactor::Derived {
                lateral: _,
                subquery: _,
                alias,
                sample,
            } => {
                refuse(sample.is_some(), "TABLESAMPLE", SAMPLE_HINT)?;
                typed_alias(alias.as_ref())
            }
            TableFactor::Function {
                lateral: _,
                name: _,
                args: _,
                with_ordinality,
                alias,
            } => {
                refuse(*with_ordinality, "WITH ORDINALITY", NUMBER_HINT)?;
                typed_alias(alias.as_ref())
            }
            // The engine refuses what it cannot do of these.
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Ignored> {
        let function = match expr {
            Expr::Function(function) => function,
            Expr::Cast { data_type, .. } => return sized_type(data_type),
            Expr::SimilarTo { .. } => {
                let hint = "LIKE has them; `~` takes a regular expression, which is what would be taken here";
                return refuse(true, "the `%` and `_` of SIMILAR TO", hint);
            }
            _ => return ControlFlow::Continue(()),
        };
        let Function {
            name,
            uses_odbc_syntax: _,
            parameters,
            args,
            filter,
            null_treatment,
            over,
            within_group,
        } = function;
        let hint = "leave out the first list of arguments";
        refuse(
            *parameters != FunctionArguments::None,
            "a second list of arguments",
            hint,
        )?;
        let name = name.to_string().to_lowercase();
        let is_scalar = self.session.scalar_functions().contains_key(&name);
        if !is_scalar && !name.starts_with("unnest") {
            return ControlFlow::Continue(());
        }
        let of_one_row =
            "the function computes a value of one row; only aggregates take rows together";
        refuse(filter.is_some(), "FILTER", of_one_row)?;
        refuse(over.is_some(), "OVER", of_one_row)?;
        refuse(!within_group.is_empty(), "WITHIN GROUP", of_one_row)?;
        refuse(null_treatment.is_some(), "IGNORE NULLS", of_one_row)?;
        let FunctionArguments::List(list) = args else {
            return ControlFlow::Continue(());
        };
        let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        refuse(is_distinct, "DISTINCT", of_one_row)?;
        let is_ordered =
            |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::OrderBy(_));
        refuse(list.clauses.iter().any(is_ordered), "ORDER BY", of_one_row)
    }
}

const NUMBER_HINT: &str = "`row_number() OVER (ORDER BY …)` numbers rows";

/// Sizes of types: the engine's types have none.
fn sized_type(data_type: &DataType) -> ControlFlow<Ignored> {
    let cut = "`left(text, n)` keeps the first n characters";
    match data_type {
        DataType::Varchar(size) | DataType::Char(size) => {
            refuse(size.is_some(), "the length of a type", cut)
        }
        DataType::String(size) => refuse(size.is_some(), "the length of a type", cut),
        DataType::Float(ExactNumberInfo::None) => ControlFlow::Continue(()),
        DataType::Float(_) => refuse(
            true,
            "the size of a FLOAT",
            "`DOUBLE` has 64 bits, `REAL` has 32",
        ),
        _ => ControlFlow::Continue(()),
    }
}

/// Types of columns in an alias: the engine would keep the types they have.
fn typed_alias(alias: Option<&TableAlias>) -> ControlFlow<Ignored> {
    let Some(alias) = alias else {
        return ControlFlow::Continue(());
    };
    refuse(alias.at.is_some(), "AT", NUMBER_HINT)?;
    let is_typed = alias
        .columns
        .iter()
        .any(|column| column.data_type.is_some());
    refuse(
        is_typed,
        "a type in an alias",
        "`CAST(column AS type)` changes a type",
    )
}
