//! What is noted of a row besides its texts, to be counted in the manifest.

/// Which of the things worth counting happened to a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// A system message stands before its instruction.
    pub(super) system_message: bool,
    /// It is from a conversation of several questions.
    pub(super) multi_turn: bool,
    /// What followed in that conversation is in no row.
    pub(super) turns_left_out: bool,
    /// A tool spoke or was called in that conversation.
    pub(super) tool_message: bool,
    /// Bytes of its record were not UTF-8.
    pub(super) repaired_encoding: bool,
}

impl Marks {
    /// The names of those that are set, with spaces between; `None` where none is.
    pub(super) fn text(self) -> Option<String> {
        let named = [
            (self.system_message, "system_message"),
            (self.multi_turn, "multi_turn"),
            (self.turns_left_out, "turns_left_out"),
            (self.tool_message, "tool_message"),
            (self.repaired_encoding, "repaired_encoding"),
        ];
        let set: Vec<_> = named
            .into_iter()
            .filter_map(|(is_set, name)| is_set.then_some(name))
            .collect();
        (!set.is_empty()).then(|| set.join(" "))
    }
}
