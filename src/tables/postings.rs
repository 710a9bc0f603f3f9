//! An inverted index: for every key a list, in the order in which its entries came, in one piece of memory.
//!
//! Most lists are short and some are long, so a list that outgrows its place moves to one twice as large, and the next list of
//! that size takes the place it leaves.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Lists of entries by key.
#[derive(Debug)]
pub(super) struct Postings<T> {
    lists: HashMap<u64, List, FixedState>,
    /// The places of all lists.
    entries: Vec<T>,
    /// Where places of 1, 2, 4, … entries are free.
    free: Vec<Vec<u32>>,
}

/// Where a list is. Its place has room for the next power of two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct List {
    start: u32,
    n: u32,
}

impl List {
    fn room(self) -> u32 {
        match self.n {
            0 => 0,
            n => n.next_power_of_two(),
        }
    }
}

/// The load of a hash table of the standard library at which it is made twice as large.
const FULL: (usize, usize) = (7, 8);

impl<T: Copy + Default> Postings<T> {
    pub(super) fn new() -> Postings<T> {
        Postings {
            lists: HashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The list of a key, which is empty where there is none.
    pub(super) fn list(&self, key: u64) -> List {
        self.lists.get(&key).copied().unwrap_or_default()
    }

    /// What is in a list.
    pub(super) fn entries(&self, list: List) -> &[T] {
        &self.entries[list.start as usize..][..list.n as usize]
    }

    /// Puts an entry behind the others of a key.
    pub(super) fn push(&mut self, key: u64, entry: T) {
        let list = self.lists.entry(key).or_default();
        let room = list.room();
        if list.n == room {
            let from = list.start as usize..(list.start + list.n) as usize;
            list.start = place(&mut self.free, &mut self.entries, (2 * room).max(1));
            if room > 0 {
                self.free[room.ilog2() as usize].push(from.start as u32);
                self.entries.copy_within(from, list.start as usize);
            }
        }
        self.entries[(list.start + list.n) as usize] = entry;
        list.n += 1;
    }

    /// Bytes it will hold when it has taken an entry more for each of these keys. What is reserved and was never written to does
    /// not count.
    pub(super) fn bytes_with(&self, keys: &[u64]) -> usize {
        let lists = keys.iter().map(|&key| self.list(key));
        let new_places = lists
            .filter(|list| list.n == list.room())
            .map(|list| 2 * list.room().max(1) as usize);
        let n_places = self.entries.len() + new_places.sum::<usize>();
        if n_places > u32::MAX as usize {
            return usize::MAX;
        }
        let of_slot = size_of::<(u64, List)>() + 1;
        let slots = |n_lists: usize| (n_lists * FULL.1 / FULL.0).next_power_of_two();
        let n_slots = slots(self.lists.capacity());
        let n_lists = self.lists.len() + keys.len();
        // While it grows there are two.
        let n_new = if n_lists > self.lists.capacity() {
            slots(n_lists).max(2 * n_slots)
        } else {
            0
        };
        n_places * size_of::<T>() + (n_slots + n_new) * of_slot
    }
}

/// A place for so many entries, a power of two.
fn place<T: Copy + Default>(free: &mut Vec<Vec<u32>>, entries: &mut Vec<T>, room: u32) -> u32 {
    let class = room.ilog2() as usize;
    if free.len() <= class {
        free.resize_with(class + 1, Vec::new);
    }
    free[class].pop().unwrap_or_else(|| {
        let start = u32::try_from(entries.len()).expect("a full index takes no more");
        entries.resize(entries.len() + room as usize, T::default());
        start
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_list_holds_what_was_pushed_in_order(pushed in prop::collection::vec((0_u64..6, 0_u32..100), 0..300)) {
            let mut postings = Postings::new();
            let mut expected: HashMap<u64, Vec<u32>> = HashMap::new();
            for (key, entry) in pushed {
                postings.push(key, entry);
                expected.entry(key).or_default().push(entry);
            }
            for key in 0..7 {
                let list = postings.list(key);
                prop_assert_eq!(postings.entries(list), expected.get(&key).map_or(&[][..], Vec::as_slice));
            }
        }

        /// Places that lists left are used again: what is free is never more than what is taken.
        #[test]
        fn it_holds_at_most_four_times_what_is_in_it(keys in prop::collection::vec(0_u64..40, 1..400)) {
            let mut postings = Postings::new();
            let n_pushed = keys.len();
            keys.into_iter().for_each(|key| postings.push(key, key));
            prop_assert!(postings.entries.len() <= 4 * n_pushed, "{} for {n_pushed}", postings.entries.len());
        }
    }

    #[test]
    fn room_for_what_comes_is_counted() {
        let mut postings: Postings<u64> = Postings::new();
        let empty = postings.bytes_with(&[]);
        assert!(postings.bytes_with(&[1, 2, 3]) >= empty + 3 * 8);
        (0..1_024).for_each(|entry| postings.push(entry % 2, entry));
        // Two lists of 512, both of which move.
        let before = postings.entries.len();
        let told = postings.bytes_with(&[0, 1]);
        [0, 1].into_iter().for_each(|key| postings.push(key, 0));
        assert_eq!(postings.entries.len(), before + 2 * 1_024);
        assert!(told >= postings.entries.len() * 8, "{told}");
    }
}
