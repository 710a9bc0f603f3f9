//! What a session plans is written down, where somebody wants to see it.

use std::fmt;
use std::sync::{Arc, Mutex};

use datafusion::physical_plan::displayable;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::scalar::ScalarValue;
use serde::Serialize;

use crate::error::Result;
use crate::tables::lift;

use super::Bound;

/// A query as it was planned.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The file below `queries/`.
    pub query: &'static str,
    /// Its text.
    pub sql: &'static str,
    /// Its parameters, by name.
    pub parameters: Vec<(&'static str, String)>,
    /// The plan after the optimizer's rules, an operator a line.
    pub logical_plan: String,
    /// The plan that runs.
    pub physical_plan: String,
}

/// The queries a session has planned, in order.
#[derive(Debug, Default)]
pub struct Explanations(Mutex<Vec<Explained>>);

impl Explanations {
    /// Has every query that `session` plans from now on written down.
    pub fn of(session: &SessionContext) -> Arc<Explanations> {
        let explanations = Arc::new(Explanations::default());
        let state = session.state_ref();
        state
            .write()
            .config_mut()
            .set_extension(Arc::clone(&explanations));
        explanations
    }

    /// What was written down so far.
    pub fn take(&self) -> Vec<Explained> {
        let mut explained = self.0.lock().expect("nobody panics while writing one down");
        std::mem::take(&mut explained)
    }
}

/// Writes a planned query down, if the session is asked to.
pub(super) async fn note(session: &SessionContext, bound: &Bound, plan: &DataFrame) -> Result<()> {
    let state = session.state_ref();
    let explanations = state.read().config().get_extension::<Explanations>();
    let Some(explanations) = explanations else {
        return Ok(());
    };
    let file = bound.query.file();
    let physical = plan.clone().create_physical_plan().await;
    let physical = physical.map_err(lift(file))?;
    let logical = plan.clone().into_optimized_plan().map_err(lift(file))?;
    let explained = Explained {
        query: file,
        sql: bound.query.sql(),
        parameters: bound
            .parameters
            .iter()
            .map(|(name, value)| (*name, shown(value)))
            .collect(),
        logical_plan: logical.display_indent().to_string(),
        physical_plan: displayable(physical.as_ref()).indent(false).to_string(),
    };
    let mut all = explanations
        .0
        .lock()
        .expect("nobody panics while writing one down");
    all.push(explained);
    Ok(())
}

fn shown(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Utf8(Some(text)) => format!("'{text}'"),
        _ => value.to_string(),
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "-- queries/{}", self.query)?;
        for (name, value) in &self.parameters {
            writeln!(f, "-- ${name} = {value}")?;
        }
        for (title, plan) in [
            ("logical plan", &self.logical_plan),
            ("physical plan", &self.physical_plan),
        ] {
            writeln!(f, "-- {title}")?;
            for line in plan.lines() {
                writeln!(f, "--   {line}")?;
            }
        }
        Ok(())
    }
}
