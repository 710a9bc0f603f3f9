//! How the forms of a direction are filled.

use super::english::Sentence;

/// What may stand in a form; `directions.toml` says what each is.
pub(super) const SLOTS: [&str; 5] = ["{text}", "{request}", "{question}", "{command}", "{deed}"];

/// The form with the sentences in it; `None` where they do not fit in.
pub(super) fn fill(form: &str, sentences: &[Sentence<'_>]) -> Option<String> {
    let first = sentences.first()?;
    let slot = *SLOTS.iter().find(|slot| form.contains(**slot))?;
    let (front, back) = form.split_once(slot)?;
    let fits = match slot {
        "{question}" => first.end() == Some('?'),
        "{request}" | "{command}" => first.verb().is_some(),
        "{deed}" => first.verb().is_some() && !first.is_personal(),
        _ => true,
    };
    if !fits {
        return None;
    }
    let mut text = front.to_owned();
    if !["{command}", "{deed}"].contains(&slot) {
        push_rest(&mut text, "", sentences);
        text.push_str(back);
        return Some(text);
    }
    let (verb, end) = (first.verb()?, first.end()?);
    // What trails off cannot be asked.
    if first.text.ends_with("..") {
        return None;
    }
    let sentence = first.text.trim_end_matches(['.', '!', '?', ':']);
    text.push_str(&verb.to_ascii_lowercase());
    text.push_str(&sentence[verb.len()..]);
    // What is announced by a colon is announced in every form.
    let own_end = back.chars().next().filter(|c| ['.', '?', '!'].contains(c));
    let back = match (own_end, end) {
        (Some(own), ':') => format!(":{}", &back[own.len_utf8()..]),
        (None, ':') => return None,
        _ => back.to_owned(),
    };
    let (behind, back) = back.split_once("{rest}")?;
    text.push_str(behind);
    push_rest(&mut text, first.gap, &sentences[1..]);
    text.push_str(back);
    Some(text)
}

fn push_rest(text: &mut String, gap: &str, sentences: &[Sentence<'_>]) {
    if sentences.is_empty() {
        return;
    }
    text.push_str(gap);
    for (nth, sentence) in sentences.iter().enumerate() {
        text.push_str(sentence.text);
        if nth + 1 < sentences.len() {
            text.push_str(sentence.gap);
        }
    }
}

/// The text with words before and after it; `None` where what follows it would be cut off from it.
pub(super) fn framed(before: &str, body: String, after: &str) -> Option<String> {
    let has_lines = body.contains('\n');
    let gap = if has_lines { "\n" } else { " " };
    let mut text = match before {
        "" => body,
        before => format!("{before}{gap}{body}"),
    };
    if after.is_empty() {
        return Some(text);
    }
    match text.chars().next_back()? {
        // What is announced stands behind.
        ':' => return None,
        '.' | '?' | '!' | '"' | '”' | ')' => {}
        _ if has_lines => {}
        _ => text.push('.'),
    }
    text.push_str(gap);
    text.push_str(after);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::english::sentences;
    use super::*;

    #[test]
    fn a_request_takes_any_form() {
        let fill = |form, text| fill(form, &sentences(text));
        let two = "Judge it. Say why.";
        for (form, expected) in [
            ("Please {command}.{rest}", "Please judge it. Say why."),
            ("Could you {command}?{rest}", "Could you judge it? Say why."),
            ("{text}", two),
            ("A task: {text}", "A task: Judge it. Say why."),
        ] {
            assert_eq!(fill(form, two).as_deref(), Some(expected));
        }
        assert_eq!(
            fill("Could you {command}?{rest}", "Translate this:\n\nNow").as_deref(),
            Some("Could you translate this:\n\nNow")
        );
        assert_eq!(
            fill("Could you {command}?{rest}", "Say it").as_deref(),
            Some("Could you say it?")
        );
        assert_eq!(
            fill("I have to {command} today.{rest}", "Translate this:"),
            None
        );
        assert_eq!(fill("Please {command}.{rest}", "What is it?"), None);
        assert_eq!(
            fill("Tell me. {question}", "What is it?").as_deref(),
            Some("Tell me. What is it?")
        );
        assert_eq!(fill("Tell me. {question}", two), None);
        assert_eq!(fill("{text}", ""), None);
        assert_eq!(fill("Do it now. {request}", "What is it?"), None);
        assert_eq!(fill("A user asks to {deed}.{rest}", "Tell me why."), None);
        assert_eq!(
            fill("A user asks to {deed}.{rest}", "Say why.").as_deref(),
            Some("A user asks to say why.")
        );
    }

    #[test]
    fn words_around_a_text_stand_apart_from_it() {
        let framed = |before, body: &str, after| framed(before, body.to_owned(), after);
        assert_eq!(
            framed("Hi!", "Say it", "Thanks!").as_deref(),
            Some("Hi! Say it. Thanks!")
        );
        assert_eq!(
            framed("", "1. a\n2. b", "Bye.").as_deref(),
            Some("1. a\n2. b\nBye.")
        );
        assert_eq!(
            framed("Hi!", "Say this:", "").as_deref(),
            Some("Hi! Say this:")
        );
        assert_eq!(framed("Hi!", "Say this:", "Thanks!"), None);
    }
}
