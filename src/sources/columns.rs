//! Which column of a record is the instruction, which the input, which the response.

use crate::config::Role;
use crate::sample::Kind;

/// Names a role goes by, the more specific first: where a record has several of them, the first wins.
const INSTRUCTION: &[&str] = &["instruction", "prompt", "question", "query"];
const INPUT: &[&str] = &["input", "context"];
const OUTPUT: &[&str] = &["output", "response", "completion", "answer"];

/// The reading of a source's columns: its map where it has one, the recognised names elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    mapped: Vec<(Role, String)>,
    /// A benchmark may come without responses.
    without_output: bool,
}

impl Columns {
    /// The recognised names, and the roles that samples of this kind need.
    pub(super) fn for_kind(kind: Kind) -> Columns {
        Columns {
            mapped: Vec::new(),
            without_output: kind == Kind::Eval,
        }
    }

    /// Reads these roles from these columns; a later map wins over an earlier one.
    pub(super) fn map(&mut self, columns: &[(Role, String)]) {
        self.mapped
            .retain(|(role, _)| columns.iter().all(|(other, _)| other != role));
        self.mapped.extend_from_slice(columns);
    }

    /// The role of a column, and its rank among the columns of that role: the lowest rank of a record wins.
    pub(super) fn role(&self, column: &str) -> Option<(Role, usize)> {
        if let Some((role, _)) = self.mapped.iter().find(|(_, mapped)| mapped == column) {
            return Some((*role, 0));
        }
        let recognised = |role| {
            let rank = names(role)
                .iter()
                .position(|name| name.eq_ignore_ascii_case(column))?;
            Some((role, rank))
        };
        Role::ALL
            .into_iter()
            .filter(|role| !self.is_mapped(*role))
            .find_map(recognised)
    }

    /// Whether a record without this role is unusable.
    pub(super) fn is_required(&self, role: Role) -> bool {
        let is_optional = match role {
            Role::Instruction => false,
            Role::Input => true,
            Role::Output => self.without_output,
        };
        !is_optional || self.is_mapped(role)
    }

    /// Whether a value of this role that is no text makes a record unusable. The responses of a benchmark may be numbers or
    /// lists, and nobody reads them.
    pub(super) fn needs_text(&self, role: Role) -> bool {
        role != Role::Output || self.is_required(role)
    }

    fn is_mapped(&self, role: Role) -> bool {
        self.mapped.iter().any(|(mapped, _)| *mapped == role)
    }
}

fn names(role: Role) -> &'static [&'static str] {
    match role {
        Role::Instruction => INSTRUCTION,
        Role::Input => INPUT,
        Role::Output => OUTPUT,
    }
}

/// What a role is called in messages.
pub(super) fn described(role: Role) -> &'static str {
    match role {
        Role::Instruction => "prompt",
        Role::Input => "input",
        Role::Output => "response",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_in_any_case() {
        let columns = Columns::default();
        assert_eq!(columns.role("Instruction"), Some((Role::Instruction, 0)));
        assert_eq!(columns.role("QUERY"), Some((Role::Instruction, 3)));
        assert_eq!(columns.role("Context"), Some((Role::Input, 1)));
        assert_eq!(columns.role("answer"), Some((Role::Output, 3)));
        assert_eq!(columns.role("topic"), None);
    }

    #[test]
    fn a_benchmark_needs_no_responses() {
        let columns = Columns::for_kind(Kind::Eval);
        assert!(columns.is_required(Role::Instruction) && !columns.is_required(Role::Output));
        assert!(Columns::for_kind(Kind::HeldOut).is_required(Role::Output));
    }

    #[test]
    fn a_map_takes_its_roles_over() {
        let mut columns = Columns::default();
        columns.map(&[
            (Role::Output, "right_answer".to_owned()),
            (Role::Input, "question".to_owned()),
        ]);
        assert_eq!(columns.role("right_answer"), Some((Role::Output, 0)));
        assert_eq!(columns.role("answer"), None);
        assert_eq!(columns.role("question"), Some((Role::Input, 0)));
        assert_eq!(columns.role("prompt"), Some((Role::Instruction, 1)));
        assert!(columns.is_required(Role::Input));
    }
}
