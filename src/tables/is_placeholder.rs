//! `is_placeholder(input)`: whether an input only says that there is none.

use datafusion::logical_expr::ScalarUDF;

use super::is_blank::predicate;

/// What people and models write for "there is no input", lower case, without brackets, quotes and full stops.
const PLACEHOLDERS: &[&str] = &[
    "n/a",
    "none",
    "no input",
    "noinput",
    "no input provided",
    "no input required",
    "no input needed",
    "no input necessary",
    "not applicable",
];

pub(super) fn function() -> ScalarUDF {
    predicate("is_placeholder", is_placeholder)
}

fn is_placeholder(input: &str) -> bool {
    let bare = input.trim_matches(|c: char| c.is_whitespace() || "<>()[]\"'.".contains(c));
    bare.is_empty() && input.trim().is_empty()
        || PLACEHOLDERS
            .iter()
            .any(|known| bare.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_say_there_is_none_are_placeholders() {
        for input in [
            "N/A",
            "n/a.",
            "None",
            "No input",
            "<no input>",
            "<noinput>",
            "[No Input]",
            "(none)",
            "",
            "  \n",
            "Not applicable",
        ] {
            assert!(is_placeholder(input), "{input:?}");
        }
    }

    #[test]
    fn inputs_with_content_are_not() {
        for input in [
            "None of them",
            "NA",
            "n",
            "()",
            "[]",
            "no",
            "input",
            "<p>",
            "0",
            "...",
            "\"\"",
        ] {
            assert!(!is_placeholder(input), "{input:?}");
        }
    }
}
