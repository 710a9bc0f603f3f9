//! The elements of a JSON array, cut apart at its commas before they are parsed: one at a time, however large the array.

use std::io::{self, BufRead};

use memchr::{memchr_iter, memchr2};

/// Bytes a record may have. A quote that nobody closes makes the rest of the file one element.
pub(super) const MAX_BYTES: usize = 1 << 28;

/// The text between two commas, or between a bracket and a comma, without the white space around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes and lines of the text before it.
    pub(super) offset: u64,
    pub(super) line: u64,
    /// What follows it.
    pub(super) end: End,
}

/// What follows an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Comma,
    /// The bracket that closes the array.
    Bracket,
    /// Nothing: the text ends inside the array.
    Nothing,
    /// More of the same element, which is too long to be one.
    More,
}

/// Reads an array whose opening bracket is the first thing in `reader` that is no white space.
pub(super) struct Elements<R> {
    reader: R,
    text: Vec<u8>,
    /// Bytes and lines of the text before what is read next.
    offset: u64,
    line: u64,
    cutter: Cutter,
}

impl<R: BufRead> Elements<R> {
    /// `offset` says how far into the text `reader` begins.
    pub(super) fn new(reader: R, offset: u64) -> Elements<R> {
        Elements {
            reader,
            text: Vec::new(),
            offset,
            line: 1,
            cutter: Cutter::default(),
        }
    }

    /// The line that is read next, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next element. After one that no comma follows there is none.
    pub(super) fn next(&mut self) -> io::Result<Element<'_>> {
        if self.cutter.depth == 0 {
            self.read_until_cut()?;
        }
        let (offset, line) = (self.offset, self.line);
        let end = self.read_until_cut()?;
        let text = match end {
            End::Comma | End::Bracket => &self.text[..self.text.len() - 1],
            End::Nothing | End::More => &self.text,
        };
        let bytes = text.trim_ascii_start();
        let before = &text[..text.len() - bytes.len()];
        Ok(Element {
            bytes: bytes.trim_ascii_end(),
            offset: offset + before.len() as u64,
            line: line + memchr_iter(b'\n', before).count() as u64,
            end,
        })
    }

    /// Whether nothing but white space is left.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(true);
            }
            if !buffer.trim_ascii_start().is_empty() {
                return Ok(false);
            }
            let n_bytes = buffer.len();
            self.reader.consume(n_bytes);
        }
    }

    /// Fills `text` up to the next cut, which is its last byte.
    fn read_until_cut(&mut self) -> io::Result<End> {
        self.text.clear();
        let end = loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                break End::Nothing;
            }
            let cut = self.cutter.cut(buffer);
            let n_bytes = cut.map_or(buffer.len(), |cut| cut + 1);
            self.text.extend_from_slice(&buffer[..n_bytes]);
            self.reader.consume(n_bytes);
            match cut {
                Some(_) if self.text.last() == Some(&b',') => break End::Comma,
                Some(_) => break End::Bracket,
                None if self.text.len() > MAX_BYTES => break End::More,
                None => {}
            }
        };
        self.offset += self.text.len() as u64;
        self.line += memchr_iter(b'\n', &self.text).count() as u64;
        Ok(end)
    }
}

/// Where in a text the array is cut. Whether an element is JSON is left to the parser.
#[derive(Debug, Default)]
struct Cutter {
    /// Brackets and braces that are open.
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
}

impl Cutter {
    /// The place of the array's opening bracket, of a comma between elements or of the closing bracket, whichever is first.
    fn cut(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.is_escaped {
                self.is_escaped = false;
                at += 1;
            } else if self.is_in_string {
                at += memchr2(b'"', b'\\', &bytes[at..])?;
                self.is_in_string = bytes[at] != b'"';
                self.is_escaped = bytes[at] == b'\\';
                at += 1;
            } else {
                at += bytes[at..]
                    .iter()
                    .position(|byte| b"\"[]{},".contains(byte))?;
                let is_cut = match bytes[at] {
                    b'"' => {
                        self.is_in_string = true;
                        false
                    }
                    b'[' | b'{' => {
                        self.depth += 1;
                        self.depth == 1
                    }
                    b',' => self.depth == 1,
                    b']' if self.depth == 1 => true,
                    // A brace too many stays in its element, where the parser finds it.
                    _ => {
                        self.depth = self.depth.saturating_sub(1).max(1);
                        false
                    }
                };
                if is_cut {
                    return Some(at);
                }
                at += 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// Text and line of every element, and what follows the last.
    fn cut(text: &str, n_buffered: usize) -> (Vec<(String, u64)>, End) {
        let reader = BufReader::with_capacity(n_buffered, text.as_bytes());
        let mut elements = Elements::new(reader, 0);
        let mut found = Vec::new();
        loop {
            let element = elements.next().expect("in memory");
            let bytes = element.bytes.to_vec();
            assert_eq!(
                bytes,
                text.as_bytes()[element.offset as usize..][..bytes.len()]
            );
            found.push((String::from_utf8(bytes).expect("it was text"), element.line));
            if element.end != End::Comma {
                return (found, element.end);
            }
        }
    }

    #[test]
    fn commas_and_brackets_inside_an_element_are_no_cuts() {
        let text = "\n[ {\"a\": [1, 2], \"b,\\\"]\": {}} ,\n\n 3, \"x\\\\\" ] ";
        let expected = [
            ("{\"a\": [1, 2], \"b,\\\"]\": {}}", 2),
            ("3", 4),
            ("\"x\\\\\"", 4),
        ];
        let expected = expected
            .map(|(text, line)| (text.to_owned(), line))
            .to_vec();
        assert_eq!(cut(text, 64), (expected, End::Bracket));
    }

    #[test]
    fn what_is_no_array_is_left_to_the_parser() {
        for (text, expected, end) in [
            ("[]", &[""][..], End::Bracket),
            ("[1,]", &["1", ""], End::Bracket),
            ("[{}}, 2]", &["{}}", "2"], End::Bracket),
            ("[{} {}]", &["{} {}"], End::Bracket),
            ("[1, {\"a\": \"", &["1", "{\"a\": \""], End::Nothing),
        ] {
            let (found, found_end) = cut(text, 64);
            let found: Vec<_> = found.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!((&found[..], found_end), (expected, end), "{text}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "[\\[\\]{},\"\\\\\na]{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                prop::collection::btree_map("[\",{a]{0,3}", inner, 0..3)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_array_comes_apart_into_its_elements_however_it_is_buffered(
            values in prop::collection::vec(json(), 1..5),
            is_pretty in any::<bool>(),
            n_buffered in 1_usize..9,
        ) {
            let text = match is_pretty {
                true => serde_json::to_string_pretty(&values),
                false => serde_json::to_string(&values),
            };
            let (found, end) = cut(&text.expect("JSON"), n_buffered);
            prop_assert_eq!(end, End::Bracket);
            let found: Result<Vec<serde_json::Value>, _> =
                found.iter().map(|(text, _)| serde_json::from_str(text)).collect();
            prop_assert_eq!(found.expect("JSON"), values);
        }
    }
}
