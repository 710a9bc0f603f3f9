//! Names become families.
//!
//! A name is that of a family, of a group or of a difficulty. Families and groups add up; difficulties, where any is
//! named, keep of these the families of such a difficulty: `math,hard` are the hard families of `math`, and `easy` alone
//! are all easy families.

use super::{Difficulty, FAMILIES, Family, Group};

/// Names further from every known one than this share of their length get no suggestion.
const PLAUSIBLE_TYPO: f64 = 0.4;

/// Names that choose no families.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadSelection {
    /// No family, group or difficulty has this name.
    Unknown {
        /// The name as it was given.
        name: String,
        /// The name that is closest, if it is close enough to be meant.
        nearest: Option<&'static str>,
    },
    /// No family that is named has one of the difficulties that are named.
    NoneLeft {
        /// The families and groups as they were given.
        topics: Vec<String>,
        /// The difficulties as they were given.
        difficulties: Vec<String>,
        /// The difficulties that the named families have.
        present: Vec<&'static str>,
    },
}

/// The families these names choose, in the order of [`FAMILIES`]; no names means every family.
///
/// Only the set of names matters, not their order or how often each is given.
pub(super) fn select(names: &[String]) -> Result<Vec<&'static Family>, BadSelection> {
    if let Some(name) = names
        .iter()
        .find(|name| known().all(|known| known != **name))
    {
        return Err(BadSelection::Unknown {
            name: name.clone(),
            nearest: nearest(name),
        });
    }
    let (difficulties, topics): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| {
        Difficulty::ALL
            .iter()
            .any(|difficulty| difficulty.name() == **name)
    });
    let is_named = |family: &&Family| {
        let is_it = |name: &&String| **name == family.name || **name == family.group.name();
        topics.is_empty() || topics.iter().any(is_it)
    };
    let is_wanted = |family: &&Family| {
        let name = family.difficulty.name();
        difficulties.is_empty() || difficulties.iter().any(|wanted| **wanted == name)
    };
    let named = FAMILIES.iter().filter(is_named);
    let families: Vec<&Family> = named.clone().filter(is_wanted).collect();
    if !families.is_empty() {
        return Ok(families);
    }
    let is_present = |difficulty: &Difficulty| {
        let has_it = |family: &Family| family.difficulty == *difficulty;
        named.clone().any(has_it)
    };
    let present = Difficulty::ALL.into_iter().filter(is_present);
    let present = present.map(Difficulty::name).collect();
    Err(BadSelection::NoneLeft {
        topics: topics.into_iter().cloned().collect(),
        present,
        difficulties: difficulties.into_iter().cloned().collect(),
    })
}

/// Every name there is.
fn known() -> impl Iterator<Item = &'static str> {
    let difficulties = Difficulty::ALL.into_iter().map(Difficulty::name);
    let groups = Group::ALL.into_iter().map(Group::name);
    let families = FAMILIES.iter().map(|family| family.name);
    difficulties.chain(groups).chain(families)
}

fn nearest(name: &str) -> Option<&'static str> {
    let (distance, nearest) = known()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()?;
    let longer = name.chars().count().max(nearest.len());
    (distance as f64 <= PLAUSIBLE_TYPO * longer as f64).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn selected(names: &str) -> Result<Vec<&'static Family>, BadSelection> {
        let names = names.split(',').filter(|name| !name.is_empty());
        select(&names.map(str::to_owned).collect::<Vec<_>>())
    }

    fn count(is_counted: impl Fn(&Family) -> bool) -> usize {
        FAMILIES.iter().filter(|family| is_counted(family)).count()
    }

    #[test]
    fn families_and_groups_add_up_and_difficulties_restrict() {
        let chosen = |names: &str| selected(names).unwrap();
        assert_eq!(chosen("").len(), FAMILIES.len());
        let is_of = |family: &Family, groups: &[Group]| groups.contains(&family.group);
        let both = [Group::Math, Group::Text];
        assert_eq!(chosen("math,text").len(), count(|f| is_of(f, &both)));
        let with_weekday = count(|f| is_of(f, &both) || f.name == "weekday");
        assert_eq!(chosen("text,weekday,math").len(), with_weekday);
        let hard = count(|f| f.difficulty == Difficulty::Hard);
        assert_eq!(chosen("hard").len(), hard);
        assert!(
            chosen("math,hard,easy,weekday")
                .iter()
                .all(|f| f.difficulty != Difficulty::Medium
                    && (f.group == Group::Math || f.name == "weekday"))
        );
    }

    #[test]
    fn the_order_and_number_of_names_do_not_matter() {
        let names = |families: Vec<&'static Family>| -> Vec<&str> {
            families.iter().map(|family| family.name).collect()
        };
        let once = names(selected("prime,text,easy,hard").unwrap());
        let often = names(selected("hard,text,easy,prime,text,hard").unwrap());
        assert_eq!(once, often);
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest_of_all_kinds_if_one_is_near() {
        let nearest_of = |name: &str| match selected(name) {
            Err(BadSelection::Unknown { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest_of("sort_number"), Some("sort_numbers"));
        assert_eq!(nearest_of("roman_numerals"), Some("roman_numeral"));
        assert_eq!(nearest_of("maths"), Some("math"));
        assert_eq!(nearest_of("mediun"), Some("medium"));
        assert_eq!(nearest_of("xyzzy"), None);
    }

    #[test]
    fn a_selection_that_leaves_no_family_says_which_difficulties_there_are() {
        let Err(problem) = selected("words,hard") else {
            panic!("no family of words is hard")
        };
        let expected = BadSelection::NoneLeft {
            topics: vec!["words".to_owned()],
            difficulties: vec!["hard".to_owned()],
            present: vec!["easy", "medium"],
        };
        assert_eq!(problem, expected);
    }

    #[test]
    fn no_name_is_of_two_kinds_and_all_are_in_snake_case() {
        let distinct: HashSet<&str> = known().collect();
        assert_eq!(distinct.len(), known().count());
        let is_in_snake_case =
            |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(known().all(is_in_snake_case));
    }

    #[test]
    fn every_group_and_every_difficulty_has_families_and_groups_stand_together() {
        let mut order: Vec<Group> = FAMILIES.iter().map(|family| family.group).collect();
        order.dedup();
        assert_eq!(order, Group::ALL);
        for difficulty in Difficulty::ALL {
            assert!(count(|family| family.difficulty == difficulty) > 5);
        }
    }
}
