//! `repair_mojibake(text)`: text that was UTF-8 and was read as Windows-1252, put right; any other text as it is.
//!
//! `cafÃ©` is such a text: written back as Windows-1252 its bytes are the UTF-8 of `café`. Good text can pass that test too
//! (`CAFÉ…` would become `CAFɅ`), so it is only the first: all of the text has to be readable that way, and what comes out
//! has to be what people write. Text in doubt is left alone.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use encoding_rs::WINDOWS_1252;

/// Times a text is put right: some was misread more than once.
const MAX_ROUNDS: usize = 4;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "repair_mojibake",
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let texts: StringArray = columns[0]
                .as_string::<i32>()
                .iter()
                .map(|text| text.map(repair_mojibake))
                .collect();
            Ok(ColumnarValue::Array(Arc::new(texts)))
        }),
    )
}

fn repair_mojibake(text: &str) -> Cow<'_, str> {
    match repaired(text, MAX_ROUNDS) {
        Some(better) => Cow::Owned(better),
        None => Cow::Borrowed(text),
    }
}

/// The text with every character beyond ASCII read back, as often as it was misread; `None` where one cannot be, or the
/// result is in doubt. What comes out in between need not be what anybody writes.
fn repaired(text: &str, rounds: usize) -> Option<String> {
    if rounds == 0 || text.is_ascii() {
        return None;
    }
    let bytes = text.chars().map(byte_of).collect::<Option<Vec<u8>>>()?;
    let read = String::from_utf8(bytes).ok()?;
    repaired(&read, rounds - 1).or_else(|| is_plausible(text, &read).then_some(read))
}

/// The byte that Windows-1252 reads as this character. A control character stands for itself: the five bytes that
/// Windows-1252 leaves undefined are read so, and Latin-1 reads 32 so.
fn byte_of(c: char) -> Option<u8> {
    static BEYOND_LATIN_1: LazyLock<Vec<(char, u8)>> = LazyLock::new(|| {
        (0x80..=0x9f_u8)
            .filter_map(|byte| {
                let bytes = [byte];
                let (read, _) = WINDOWS_1252.decode_without_bom_handling(&bytes);
                Some((read.chars().next()?, byte))
            })
            .collect()
    });
    match u8::try_from(c) {
        Ok(byte) => Some(byte),
        Err(_) => {
            let known = BEYOND_LATIN_1.iter().find(|(read, _)| *read == c)?;
            Some(known.1)
        }
    }
}

/// Whether every character that was read back is one that nobody could have meant as it stood.
fn is_plausible(before: &str, after: &str) -> bool {
    let before: Vec<char> = before.chars().collect();
    let after: Vec<char> = after.chars().collect();
    let words: Vec<Script> = after
        .windows(2)
        .filter(|pair| script(pair[0]) == script(pair[1]))
        .map(|pair| script(pair[0]))
        .collect();
    let mut start = 0;
    for &c in &after {
        let end = start + c.len_utf8();
        let written = Written {
            previous: start.checked_sub(1).map(|place| before[place]),
            characters: &before[start..end],
            next: before.get(end).copied(),
        };
        if !c.is_ascii() && !was_misread(c, &written, &words) {
            return false;
        }
        start = end;
    }
    true
}

/// `words` holds the scripts of which the text has two letters side by side.
fn was_misread(c: char, written: &Written<'_>, words: &[Script]) -> bool {
    match c as u32 {
        // `Â` and `Ã` with a sign: £, §, ±, à to ÿ; then the letters of Eastern Europe, Romania and Vietnam, accents that
        // stand alone or are joined to a letter, and Greek, of which one letter is often all there is: 2π.
        0xa0..=0x17f
        | 0x1a0
        | 0x1a1
        | 0x1af
        | 0x1b0
        | 0x218..=0x21b
        | 0x2c6..=0x2dd
        | 0x300..=0x3ff => !written.ends_a_word_in_capitals(),
        0x1e00..=0x1eff => true,
        // `â€`: quotes, dashes, the ellipsis; `â‚¬`, `â„¢`, arrows, and what emoji are joined by.
        0x200b..=0x200f | 0x2010..=0x2bff | 0xfb00..=0xfb06 | 0xfe0f => true,
        // `ðŸ`: emoji.
        0x1f000..=0x1faff => true,
        // Another script is never one letter among Latin ones. French `é »` would become such a letter, and German `ß“`.
        _ => script(c) != Script::Other && words.contains(&script(c)),
    }
}

/// How a character stood in the text that may have been misread.
struct Written<'t> {
    previous: Option<char>,
    characters: &'t [char],
    next: Option<char>,
}

impl Written<'_> {
    /// `IRMÃ…` and `Å…` may be meant: a capital that ends a word, and then a sign that may follow any word.
    fn ends_a_word_in_capitals(&self) -> bool {
        let &[letter, sign] = self.characters else {
            return false;
        };
        let may_follow_a_word = "\u{a0}…‚„‘’“”•–—™»«®©.".contains(sign);
        let is_word_before = self.previous.is_some_and(char::is_uppercase);
        let is_lone = !"ÂÃ".contains(letter) && !self.previous.is_some_and(char::is_alphanumeric);
        may_follow_a_word
            && (is_word_before || is_lone)
            && !self.next.is_some_and(char::is_alphanumeric)
    }
}

/// Scripts whose texts are misread as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Cyrillic,
    Hebrew,
    Arabic,
    Indic,
    Thai,
    EastAsian,
    Other,
}

fn script(c: char) -> Script {
    match c as u32 {
        0x400..=0x52f => Script::Cyrillic,
        0x590..=0x5ff => Script::Hebrew,
        0x600..=0x6ff => Script::Arabic,
        0x900..=0xdff => Script::Indic,
        0xe00..=0xe7f => Script::Thai,
        0x3000..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7a3 | 0xff00..=0xffef => Script::EastAsian,
        _ => Script::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a reader of Windows-1252 makes of UTF-8.
    fn misread(text: &str) -> String {
        WINDOWS_1252
            .decode_without_bom_handling(text.as_bytes())
            .0
            .into_owned()
    }

    #[test]
    fn misread_text_is_put_right() {
        for good in [
            "café",
            "Ça ne fait rien",
            "à la carte",
            "L’été — “déjà vu”…",
            "GRÖSSE und Maß",
            "SMÅLAND",
            "CAFÉ",
            "£5 ± 3 µm, 20 °C",
            "Łódź, Dvořák, İstanbul, și ție",
            "Tiếng Việt là ngôn ngữ",
            "price: 5 €™",
            "Привет, мир: я и ты",
            "Ελληνικά",
            "A = πr², 40˚, 2Ω",
            "cafe\u{301}",
            "שלום",
            "مرحبا",
            "नमस्ते",
            "สวัสดี",
            "日本語のテキスト",
            "한국어",
            "nice 😀👍🏽",
            "→ ★ ✓",
        ] {
            assert_eq!(repair_mojibake(&misread(good)), good);
            assert_eq!(repair_mojibake(&misread(&misread(good))), good);
        }
        // As Latin-1 reads it.
        assert_eq!(repair_mojibake("itâ\u{80}\u{99}s"), "it’s");
    }

    #[test]
    fn good_text_is_never_touched() {
        for good in [
            "",
            "plain",
            "café",
            "« le café\u{a0}»",
            "café\u{a0}»",
            "„Spaß“",
            "Spaß“",
            "CAFÉ…",
            "CAFÉ\u{a0}!",
            "IRMÃ…",
            "MAÇÃ”",
            "MANHÃ –",
            "SILMÄ…",
            "LUNEDÌ…",
            "LUNEDÌ\u{a0}»",
            "Î»",
            "Å…",
            "Å\u{a0}",
            "À\u{a0}l’École",
            "VOILÀ”",
            "ESPAÑA™",
            "EL NIÑO®",
            "Ð and Þ",
            "“curly” — dashes…",
            "naïve\u{a0}»",
            "Øre",
            "Ünïcödé",
            "AÑO «X»",
            "5 × 3 ÷ 2 ± 1",
            "Привет",
            "日本語",
            "😀",
            "â€™ is what ’ becomes",
            "It’s â€œbothâ€\u{9d}",
        ] {
            assert_eq!(repair_mojibake(good), good);
        }
    }

    proptest! {
        #[test]
        fn what_cannot_be_read_back_exactly_stays(text in "\\PC{0,30}") {
            let repaired = repair_mojibake(&text);
            if repaired != text {
                // Then it was a reading of the repaired text, once or more often.
                let mut read = repaired.into_owned();
                let mut found = false;
                for _ in 0..MAX_ROUNDS {
                    read = misread(&read);
                    found |= read == text;
                }
                prop_assert!(found, "{:?}", text);
            }
        }

        #[test]
        fn words_of_western_languages_stay(text in "[a-zA-ZäöüßéèêàçñøåæÄÖÜÉÈÀÇÑØÅÆ]{1,12}( [»«“”„’…–—]?[a-zA-Zäöüßéèêàçñøå]{1,8}[.,!?»“”…]?){0,5}") {
            prop_assert_eq!(repair_mojibake(&text), text.as_str());
        }
    }
}
