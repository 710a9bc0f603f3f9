//! The rows that stay, so that the one most like a new row is found without a look at most of them.
//!
//! ROUGE-L is at most what it would be if word order did not matter, and that is found by set-similarity search: a text is
//! the set of its words, the second, third, … occurrence of a word being members of their own; two texts as similar as the
//! threshold share so many members that they share one among the rarest of each (prefix filter: Chaudhuri, Ganti and Kaushik
//! 2006), at places that leave room for the others (Xiao et al. 2008). What is left is measured. No bound loses a pair.

use std::collections::HashMap;
use std::ops::Range;

use crate::tables::{Lcs, f_measure};

/// All texts, as numbers.
#[derive(Debug, Default)]
pub(in crate::commands) struct Texts {
    /// The words of all texts.
    words: Vec<u32>,
    /// The members of their sets; those of a text ascend from the rarest.
    members: Vec<u32>,
    /// Where texts end in both.
    ends: Vec<usize>,
    n_members: usize,
}

impl Texts {
    /// Takes texts as words joined by single spaces.
    pub(in crate::commands) fn new(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Texts {
        let mut numbered = Texts::default();
        let mut known_words: HashMap<String, u32> = HashMap::new();
        let mut known_members: HashMap<(u32, u32), u32> = HashMap::new();
        let mut n_texts_with: Vec<u32> = Vec::new();
        let mut occurrences: HashMap<u32, u32> = HashMap::new();
        for text in texts {
            occurrences.clear();
            for word in text.as_ref().split_terminator(' ') {
                let word = match known_words.get(word) {
                    Some(&number) => number,
                    None => {
                        let next = known_words.len() as u32;
                        known_words.insert(word.to_owned(), next);
                        next
                    }
                };
                numbered.words.push(word);
                let nth = occurrences.entry(word).or_insert(0);
                let next = known_members.len() as u32;
                let member = *known_members.entry((word, *nth)).or_insert(next);
                *nth += 1;
                if member == next {
                    n_texts_with.push(0);
                }
                n_texts_with[member as usize] += 1;
                numbered.members.push(member);
            }
            numbered.ends.push(numbered.words.len());
        }
        numbered.n_members = n_texts_with.len();
        numbered.rank_members(&n_texts_with);
        numbered
    }

    /// Numbers the members anew, the rarest first.
    fn rank_members(&mut self, n_texts_with: &[u32]) {
        let mut by_rarity: Vec<u32> = (0..n_texts_with.len() as u32).collect();
        by_rarity.sort_by_key(|&member| n_texts_with[member as usize]);
        let mut ranks = vec![0; by_rarity.len()];
        for (rank, &member) in by_rarity.iter().enumerate() {
            ranks[member as usize] = rank as u32;
        }
        for member in &mut self.members {
            *member = ranks[*member as usize];
        }
        for text in 0..self.ends.len() {
            let range = self.range(text);
            self.members[range].sort_unstable();
        }
    }

    fn range(&self, text: usize) -> Range<usize> {
        let start = text.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[text]
    }

    fn words(&self, text: usize) -> &[u32] {
        &self.words[self.range(text)]
    }

    fn members(&self, text: usize) -> &[u32] {
        &self.members[self.range(text)]
    }
}

/// What a text of some length must have in common with others.
struct Bounds {
    threshold: f64,
    /// The lengths of texts that can be similar.
    lengths: Range<usize>,
    /// Words to share with a text of each of these lengths.
    shared: Vec<usize>,
}

impl Bounds {
    fn new(n_words: usize, threshold: f64) -> Bounds {
        let can_be_similar =
            |other: usize| f_measure(n_words.min(other), n_words + other) >= threshold;
        // The bound falls on both sides of the length itself, where it is 1.
        let shortest = partition_point(0..n_words, |other| !can_be_similar(other));
        let longest = longest_for(n_words, threshold);
        let lengths = shortest..partition_point(n_words..longest + 1, can_be_similar);
        let shared = lengths.clone().map(|other| {
            let both = n_words + other;
            partition_point(0..both, |n| f_measure(n, both) < threshold)
        });
        Bounds {
            threshold,
            shared: shared.collect(),
            lengths,
        }
    }

    fn shared_with(&self, n_words: usize) -> usize {
        self.shared[n_words - self.lengths.start]
    }

    /// Members among which every similar text has one: all but those it shares at the least, and one more.
    fn prefix(&self, n_words: usize) -> usize {
        let fewest = self.shared.first().copied().unwrap_or(n_words);
        n_words - fewest.min(n_words) + 1
    }
}

/// A length above all that can be similar to `n_words`: 2n / (n + m) < t from m = 2n / t on.
fn longest_for(n_words: usize, threshold: f64) -> usize {
    let longest = 2.0 * n_words as f64 / threshold;
    // Also where the threshold is next to nothing, and with room for rounding.
    (longest.min(u32::MAX.into()) as usize).max(n_words) + 1
}

/// The first number of a range for which `is_before` does not hold, or its end.
fn partition_point(range: Range<usize>, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The texts that stay, by the rarest members of their sets.
pub(in crate::commands) struct Index<'a> {
    texts: &'a Texts,
    threshold: f64,
    /// For every member the texts that have it in their prefix, with its place there.
    postings: Vec<Vec<(u32, u32)>>,
    /// Members seen in both prefixes, for every text; `PRUNED` where there is no room for enough.
    n_seen: Vec<u32>,
    candidates: Vec<u32>,
    /// The text that last had a member, plus 1.
    had_by: Vec<u32>,
    lcs: Lcs,
}

const PRUNED: u32 = u32::MAX;

impl<'a> Index<'a> {
    pub(in crate::commands) fn new(texts: &'a Texts, threshold: f64) -> Index<'a> {
        Index {
            texts,
            threshold,
            postings: vec![Vec::new(); texts.n_members],
            n_seen: vec![0; texts.ends.len()],
            candidates: Vec::new(),
            had_by: vec![0; texts.n_members],
            lcs: Lcs::default(),
        }
    }

    /// The most similar text that was added, the first of equals, if it is as similar as the threshold.
    pub(in crate::commands) fn most_similar(&mut self, text: usize) -> Option<(usize, f64)> {
        let n_words = self.texts.words(text).len();
        if n_words == 0 {
            return None;
        }
        let bounds = Bounds::new(n_words, self.threshold);
        self.find_candidates(text, &bounds);
        self.measure_candidates(text, &bounds)
    }

    /// Adds a text.
    pub(in crate::commands) fn add(&mut self, text: usize) {
        let members = self.texts.members(text);
        if members.is_empty() {
            return;
        }
        let prefix = Bounds::new(members.len(), self.threshold).prefix(members.len());
        for (place, &member) in members.iter().take(prefix).enumerate() {
            self.postings[member as usize].push((text as u32, place as u32));
        }
    }

    fn find_candidates(&mut self, text: usize, bounds: &Bounds) {
        self.candidates.clear();
        let members = self.texts.members(text);
        let n = members.len();
        for (place, &member) in members.iter().take(bounds.prefix(n)).enumerate() {
            for &(other, other_place) in &self.postings[member as usize] {
                let n_other = self.texts.words(other as usize).len();
                if !bounds.lengths.contains(&n_other) {
                    continue;
                }
                let seen = &mut self.n_seen[other as usize];
                if *seen == PRUNED {
                    continue;
                }
                let after = (n - place - 1).min(n_other - other_place as usize - 1);
                if *seen == 0 {
                    self.candidates.push(other);
                }
                if (*seen as usize + 1 + after) < bounds.shared_with(n_other) {
                    *seen = PRUNED;
                } else {
                    *seen += 1;
                }
            }
        }
    }

    fn measure_candidates(&mut self, text: usize, bounds: &Bounds) -> Option<(usize, f64)> {
        let texts = self.texts;
        let stamp = text as u32 + 1;
        for &member in texts.members(text) {
            self.had_by[member as usize] = stamp;
        }
        self.candidates.sort_unstable();
        let words = texts.words(text);
        let mut is_first_set = false;
        let mut best: Option<(usize, f64)> = None;
        let candidates = std::mem::take(&mut self.candidates);
        for &other in &candidates {
            let other = other as usize;
            let n_both = words.len() + texts.words(other).len();
            let is_similar = |n_common| {
                let similarity = f_measure(n_common, n_both);
                match best {
                    None => similarity >= bounds.threshold,
                    Some((_, known)) => similarity > known,
                }
            };
            if std::mem::take(&mut self.n_seen[other]) == PRUNED {
                continue;
            }
            let members = texts.members(other).iter();
            let n_shared = members
                .filter(|&&member| self.had_by[member as usize] == stamp)
                .count();
            if !is_similar(n_shared) {
                continue;
            }
            if !is_first_set {
                self.lcs.set_first(words);
                is_first_set = true;
            }
            let n_common = self.lcs.length(texts.words(other));
            if is_similar(n_common) {
                best = Some((other, f_measure(n_common, n_both)));
            }
        }
        self.candidates = candidates;
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every pair, by the definition of the measure alone.
    fn by_definition(
        texts: &[String],
        is_task: &[bool],
        threshold: f64,
    ) -> Vec<Option<(usize, f64)>> {
        let mut kept: Vec<usize> = Vec::new();
        let mut found = Vec::new();
        for (nth, text) in texts.iter().enumerate() {
            let words: Vec<_> = text.split_terminator(' ').collect();
            let mut best: Option<(usize, f64)> = None;
            for &other in &kept {
                let others: Vec<_> = texts[other].split_terminator(' ').collect();
                let mut before = vec![0; others.len() + 1];
                for word in &words {
                    let mut now = vec![0; others.len() + 1];
                    for (j, other) in others.iter().enumerate() {
                        now[j + 1] = if word == other {
                            before[j] + 1
                        } else {
                            now[j].max(before[j + 1])
                        };
                    }
                    before = now;
                }
                let similarity = f_measure(before[others.len()], words.len() + others.len());
                if similarity >= threshold && best.is_none_or(|(_, known)| similarity > known) {
                    best = Some((other, similarity));
                }
            }
            if is_task[nth] || best.is_none() {
                kept.push(nth);
                best = None;
            }
            found.push(best);
        }
        found
    }

    proptest! {
        #[test]
        fn the_bounds_lose_no_pair(
            rows in prop::collection::vec((prop::collection::vec(0_u8..9, 0..14), prop::bool::weighted(0.1)), 0..60),
            threshold in prop::sample::select(vec![0.01, 0.2, 0.5, 0.6, 0.7, 0.9, 1.0]),
        ) {
            let (texts, is_task): (Vec<_>, Vec<_>) = rows
                .into_iter()
                .map(|(words, is_task)| {
                    let words: Vec<_> = words.iter().map(u8::to_string).collect();
                    (words.join(" "), is_task)
                })
                .unzip();
            let numbered = Texts::new(&texts);
            let mut index = Index::new(&numbered, threshold);
            let found: Vec<_> = (0..texts.len())
                .map(|text| {
                    let found = index.most_similar(text).filter(|_| !is_task[text]);
                    if found.is_none() {
                        index.add(text);
                    }
                    found
                })
                .collect();
            prop_assert_eq!(found, by_definition(&texts, &is_task, threshold));
        }
    }

    #[test]
    fn bounds_are_those_of_the_measure() {
        let bounds = Bounds::new(10, 0.7);
        assert_eq!(bounds.lengths, 6..19);
        assert_eq!(bounds.shared_with(10), 7);
        assert_eq!(
            bounds.prefix(10),
            5,
            "6 shared at the least, with a text of 6"
        );
        assert_eq!(Bounds::new(10, 1.0).lengths, 10..11);
    }
}
