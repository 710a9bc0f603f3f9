//! Facts about invented people, orders, rooms, animals and the like, which sentences tell and documents hold.

use rand::Rng as _;

use super::{
    Rng,
    calendar::{Date, WEEKDAYS},
    documents::Value,
    english::with_article,
    keys::{self, Key},
    lexicon::{
        self, ANIMALS, COLOURS, INSTRUMENTS, NAMES, OCCUPATIONS, SPORTS, THINGS, TOWNS, VEHICLES,
        Words,
    },
    phrasing::{Slot, fill, pick},
};

/// A kind of thing that a few facts are known of.
pub(super) struct Subject {
    /// Several of them: "people".
    pub(super) plural: &'static str,
    pub(super) fields: &'static [Field],
    /// Sentences that tell every fact, with a slot for each field.
    tellings: &'static [&'static str],
}

/// One of the facts.
pub(super) struct Field {
    /// Its value in words.
    pub(super) meaning: &'static str,
    /// Keys it may have. The first is also its slot, and says by itself what is meant.
    pub(super) names: &'static [&'static str],
    values: Values,
}

enum Values {
    Word(&'static Words),
    /// Told with an article.
    Job,
    /// Things, in the plural.
    Things,
    Whole(i64, i64),
    Date,
    Weekday,
    Time,
    /// Whether something is so, and how that is told.
    Flag {
        yes: &'static str,
        no: &'static str,
    },
}

/// What is known of one subject: a value for each of its fields.
pub(super) struct Facts {
    pub(super) subject: &'static Subject,
    values: Vec<Value>,
}

const ASK_FLAGS: &[&str] = &[
    "Write true for yes and false for no.",
    "Yes and no are written as true and false.",
    "Where the question is whether something is so, write true or false.",
    "Use true and false for what is so and what is not.",
];

const SUBJECTS: &[Subject] = &[
    Subject {
        plural: "people",
        fields: &[
            Field {
                meaning: "the name",
                names: &["name", "person", "who", "first_name"],
                values: Values::Word(&NAMES),
            },
            Field {
                meaning: "the age",
                names: &["age", "years", "age_in_years", "how_old"],
                values: Values::Whole(18, 79),
            },
            Field {
                meaning: "the occupation",
                names: &["job", "occupation", "work", "profession"],
                values: Values::Job,
            },
            Field {
                meaning: "the home town",
                names: &["town", "home", "lives_in", "residence"],
                values: Values::Word(&TOWNS),
            },
            Field {
                meaning: "the favourite sport",
                names: &["sport", "hobby", "favourite_sport", "likes"],
                values: Values::Word(&SPORTS),
            },
        ],
        tellings: &[
            "{name} is {age} years old, lives in {town}, works as {job} and enjoys {sport}.",
            "{name}, {age} years old, is {job} from {town} and likes {sport} best.",
            "In {town} lives {name}, {job}, {age} years old, who is fond of {sport}.",
            "{age} years old, {name} works as {job} in {town} and goes in for {sport}.",
        ],
    },
    Subject {
        plural: "orders",
        fields: &[
            Field {
                meaning: "the customer",
                names: &["customer", "buyer", "client", "ordered_by"],
                values: Values::Word(&NAMES),
            },
            Field {
                meaning: "what was ordered",
                names: &["item", "product", "goods", "article"],
                values: Values::Things,
            },
            Field {
                meaning: "the number of pieces",
                names: &["quantity", "pieces", "amount", "how_many"],
                values: Values::Whole(2, 60),
            },
            Field {
                meaning: "the total price in euros",
                names: &["price", "total", "euros", "total_price"],
                values: Values::Whole(5, 900),
            },
            Field {
                meaning: "whether the order is paid",
                names: &["paid", "is_paid", "settled", "has_paid"],
                values: Values::Flag {
                    yes: "has paid already",
                    no: "has not paid yet",
                },
            },
        ],
        tellings: &[
            "{customer} ordered {quantity} {item} for {price} euros and {paid}.",
            "An order of {quantity} {item} came from {customer}, who {paid}; it comes to {price} euros.",
            "For {price} euros, {customer} gets {quantity} {item} and {paid}.",
            "{quantity} {item} go to {customer}, who {paid}. The bill is over {price} euros.",
        ],
    },
    Subject {
        plural: "bookings",
        fields: &[
            Field {
                meaning: "the guest",
                names: &["guest", "visitor", "booked_by", "traveller"],
                values: Values::Word(&NAMES),
            },
            Field {
                meaning: "the place",
                names: &["town", "place", "where", "destination"],
                values: Values::Word(&TOWNS),
            },
            Field {
                meaning: "the number of nights",
                names: &["nights", "n_nights", "length_of_stay", "duration"],
                values: Values::Whole(2, 21),
            },
            Field {
                meaning: "the day of arrival",
                names: &["arrival", "from", "check_in", "first_day"],
                values: Values::Date,
            },
            Field {
                meaning: "whether breakfast is included",
                names: &["breakfast", "with_breakfast", "has_breakfast", "meals"],
                values: Values::Flag {
                    yes: "with breakfast",
                    no: "without breakfast",
                },
            },
        ],
        tellings: &[
            "{guest} booked a room in {town} for {nights} nights from {arrival}, {breakfast}.",
            "A room in {town} is booked {breakfast} for {guest}, who arrives on {arrival} and stays {nights} nights.",
            "On {arrival} {guest} comes to {town} and stays {nights} nights {breakfast}.",
            "From {arrival} on, {guest} spends {nights} nights in {town}; the room is {breakfast}.",
        ],
    },
    Subject {
        plural: "animals",
        fields: &[
            Field {
                meaning: "the kind of animal",
                names: &["animal", "kind", "species", "what"],
                values: Values::Word(&ANIMALS),
            },
            Field {
                meaning: "the name",
                names: &["name", "called", "goes_by", "label"],
                values: Values::Word(&NAMES),
            },
            Field {
                meaning: "the age in years",
                names: &["age", "years", "age_in_years", "how_old"],
                values: Values::Whole(2, 25),
            },
            Field {
                meaning: "the colour of the collar",
                names: &["collar", "colour", "collar_colour", "wears"],
                values: Values::Word(&COLOURS),
            },
            Field {
                meaning: "whether it is vaccinated",
                names: &[
                    "vaccinated",
                    "is_vaccinated",
                    "has_vaccination",
                    "protected",
                ],
                values: Values::Flag {
                    yes: "is vaccinated",
                    no: "is not vaccinated",
                },
            },
        ],
        tellings: &[
            "The {animal} {name} is {age} years old, wears something {collar} around the neck and {vaccinated}.",
            "{name} the {animal} {vaccinated}, is {age} years old and has a collar in {collar}.",
            "A collar in {collar} belongs to {name}, the {animal}, which {vaccinated} and {age} years old.",
            "At the shelter, the {animal} with the collar in {collar} is {name}; it {vaccinated} and {age} years old.",
        ],
    },
    Subject {
        plural: "advertisements",
        fields: &[
            Field {
                meaning: "the kind of vehicle",
                names: &["vehicle", "type", "for_sale", "model"],
                values: Values::Word(&VEHICLES),
            },
            Field {
                meaning: "the colour",
                names: &["colour", "paint", "painted", "shade"],
                values: Values::Word(&COLOURS),
            },
            Field {
                meaning: "the year it was built",
                names: &["year", "built", "built_in", "year_built"],
                values: Values::Whole(1970, 2024),
            },
            Field {
                meaning: "the price in euros",
                names: &["price", "euros", "costs", "asking_price"],
                values: Values::Whole(200, 9_900),
            },
            Field {
                meaning: "the town",
                names: &["town", "location", "where", "seen_in"],
                values: Values::Word(&TOWNS),
            },
        ],
        tellings: &[
            "The {vehicle} on sale in {town} is {colour}, was built in {year} and costs {price} euros.",
            "This {vehicle} in {colour} stands in {town}, was built in {year} and costs {price} euros.",
            "Built in {year} and painted {colour}, the {vehicle} from {town} is yours for {price} euros.",
            "Somebody in {town} asks {price} euros for a {vehicle} of the year {year}. The colour is {colour}.",
        ],
    },
    Subject {
        plural: "lessons",
        fields: &[
            Field {
                meaning: "the pupil",
                names: &["pupil", "student", "who", "learner"],
                values: Values::Word(&NAMES),
            },
            Field {
                meaning: "the instrument",
                names: &["instrument", "plays", "subject", "learns"],
                values: Values::Word(&INSTRUMENTS),
            },
            Field {
                meaning: "the day of the week",
                names: &["day", "weekday", "day_of_week", "held_on"],
                values: Values::Weekday,
            },
            Field {
                meaning: "the time it begins",
                names: &["start", "time", "begins", "starts_at"],
                values: Values::Time,
            },
            Field {
                meaning: "the length in minutes",
                names: &["minutes", "length", "takes", "n_minutes"],
                values: Values::Whole(20, 90),
            },
        ],
        tellings: &[
            "{pupil} learns the {instrument} on {day} at {start} for {minutes} minutes.",
            "On {day} at {start}, {pupil} has a lesson of {minutes} minutes on the {instrument}.",
            "The {instrument} lesson of {pupil} lasts {minutes} minutes and begins on {day} at {start}.",
            "It is {day} at {start} when {pupil} plays the {instrument} for {minutes} minutes.",
        ],
    },
];

/// One of the subjects.
pub(super) fn any_subject(rng: &mut Rng) -> &'static Subject {
    &SUBJECTS[rng.random_range(0..SUBJECTS.len())]
}

impl Subject {
    /// Fields to ask for, in the order in which they are wanted.
    pub(super) fn choose(&self, rng: &mut Rng, n_fields: usize) -> Vec<usize> {
        let all: [usize; 5] = [0, 1, 2, 3, 4];
        lexicon::several(rng, &all[..self.fields.len()], n_fields)
    }

    /// A key for each of the fields.
    pub(super) fn keys(&self, rng: &mut Rng, fields: &[usize]) -> Vec<Key> {
        let choices: Vec<_> = fields
            .iter()
            .map(|&field| (self.fields[field].meaning, self.fields[field].names))
            .collect();
        keys::named(rng, &choices)
    }

    /// Words for how yes and no are written in a format that has no notation for them, if one of the fields has such a value.
    pub(super) fn flag_request(&self, rng: &mut Rng, fields: &[usize]) -> &'static str {
        let is_flag = |field: &usize| matches!(self.fields[*field].values, Values::Flag { .. });
        match fields.iter().any(is_flag) {
            true => pick(rng, ASK_FLAGS),
            false => "",
        }
    }

    /// Keys that need no description, for documents that are given.
    pub(super) fn plain_keys(&self, fields: &[usize]) -> Vec<&'static str> {
        fields
            .iter()
            .map(|&field| self.fields[field].names[0])
            .collect()
    }
}

impl Facts {
    /// What is known of one of anything.
    pub(super) fn any(rng: &mut Rng) -> Facts {
        let subject = any_subject(rng);
        Facts::draw(rng, subject)
    }

    /// What is known of one of these.
    fn draw(rng: &mut Rng, subject: &'static Subject) -> Facts {
        let values = subject
            .fields
            .iter()
            .map(|field| field.values.draw(rng))
            .collect();
        Facts { subject, values }
    }

    /// What is known of several, whose first values differ.
    pub(super) fn draw_several(
        rng: &mut Rng,
        subject: &'static Subject,
        count: usize,
    ) -> Vec<Facts> {
        let mut drawn: Vec<Facts> = Vec::with_capacity(count);
        while drawn.len() < count {
            let next = Facts::draw(rng, subject);
            if drawn
                .iter()
                .all(|before| before.values[0] != next.values[0])
            {
                drawn.push(next);
            }
        }
        drawn
    }

    /// The value of one field.
    pub(super) fn value(&self, field: usize) -> &Value {
        &self.values[field]
    }

    /// These fields under these keys.
    pub(super) fn object<K: AsRef<str>>(&self, fields: &[usize], keys: &[K]) -> Value {
        let named = fields.iter().zip(keys);
        Value::Object(
            named
                .map(|(&field, key)| (key.as_ref().to_owned(), self.values[field].clone()))
                .collect(),
        )
    }

    /// Every fact in a sentence or two.
    pub(super) fn told(&self, rng: &mut Rng) -> String {
        let fields = self.subject.fields;
        let words: Vec<String> = fields
            .iter()
            .zip(&self.values)
            .map(|(field, value)| match (&field.values, value) {
                (Values::Job, value) => with_article(&value.plain()),
                (Values::Flag { yes, .. }, Value::Flag(true)) => (*yes).to_owned(),
                (Values::Flag { no, .. }, _) => (*no).to_owned(),
                (_, value) => value.to_string(),
            })
            .collect();
        let slots: Vec<Slot> = fields
            .iter()
            .zip(&words)
            .map(|(field, word)| (field.names[0], word as &dyn std::fmt::Display))
            .collect();
        fill(pick(rng, self.subject.tellings), &slots)
    }
}

impl Values {
    fn draw(&self, rng: &mut Rng) -> Value {
        match self {
            Values::Word(lexicon) => lexicon::any(rng, lexicon).into(),
            Values::Job => lexicon::any(rng, &OCCUPATIONS).into(),
            Values::Things => lexicon::any(rng, &THINGS).plural.into(),
            Values::Whole(low, high) => rng.random_range(*low..=*high).into(),
            Values::Date => Date::draw(rng).to_string().into(),
            Values::Weekday => pick(rng, &WEEKDAYS).into(),
            Values::Time => {
                let (hour, quarter) = (rng.random_range(8..=20), rng.random_range(0..4) * 15);
                format!("{hour:02}:{quarter:02}").into()
            }
            Values::Flag { .. } => Value::Flag(rng.random_bool(0.5)),
        }
    }
}

#[cfg(test)]
pub(super) mod reading {
    //! Facts read out of sentences by the words themselves, without a look at how sentences are made.

    use serde_json::{Value as Json, json};

    use super::*;

    /// The one subject all of whose facts the text tells, with their values.
    pub(in super::super) fn facts(text: &str) -> Option<(&'static Subject, Vec<Json>)> {
        let words: Vec<&str> = text
            .split_whitespace()
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
            .collect();
        let mut found = SUBJECTS.iter().filter_map(|subject| {
            let values = subject
                .fields
                .iter()
                .map(|field| value(field.names[0], &words));
            Some((subject, values.collect::<Option<Vec<Json>>>()?))
        });
        let first = found.next()?;
        assert!(found.next().is_none(), "{text} is of two kinds");
        Some(first)
    }

    /// The facts of every line that tells all of one subject.
    pub(in super::super) fn lines(text: &str) -> (&'static Subject, Vec<Vec<Json>>) {
        let (subjects, values): (Vec<_>, Vec<_>) = text.lines().filter_map(facts).unzip();
        (subjects[0], values)
    }

    /// The facts of the one line that tells all of a subject.
    pub(in super::super) fn line(text: &str) -> (&'static Subject, Vec<Json>) {
        let (subject, mut values) = lines(text);
        assert_eq!(values.len(), 1, "{text}");
        (subject, values.remove(0))
    }

    /// What the keys in the text stand for: the number of a field for each.
    pub(in super::super) fn keys(subject: &Subject, text: &str) -> Vec<(String, usize)> {
        let fields = subject.fields.iter();
        let choices: Vec<(&str, &str)> = fields
            .map(|field| (field.names[0], field.meaning))
            .collect();
        super::super::checking::keys_in(text, &choices)
    }

    /// The object that the keys in the text and the facts in the text make.
    pub(in super::super) fn object(keys: &[(String, usize)], values: &[Json]) -> Json {
        let entries = keys
            .iter()
            .map(|(key, field)| (key.clone(), values[*field].clone()));
        Json::Object(entries.collect())
    }

    fn value(name: &str, words: &[&str]) -> Option<Json> {
        let one_of = |lexicon: &[&'static str]| words.iter().find(|word| lexicon.contains(word));
        let number = |word: &str| word.parse::<i64>().ok();
        let before = |unit: &dyn Fn(&str) -> bool| {
            words
                .windows(2)
                .find_map(|two| number(two[0]).filter(|_| unit(two[1])))
        };
        let is_thing = |word: &str| THINGS.iter().any(|thing| thing.plural == word);
        let is_day =
            |word: &&&str| word.len() == 10 && word.split('-').all(|n| number(n).is_some());
        let is_time = |word: &&&str| word.len() == 5 && word.as_bytes()[2] == b':';
        let flag = |yes: &str, no: &str| {
            let is_there = words.iter().any(|word| word.starts_with(yes));
            is_there.then(|| !words.contains(&no))
        };
        Some(match name {
            "name" | "customer" | "guest" | "pupil" => json!(one_of(&NAMES)?),
            "job" => json!(one_of(&OCCUPATIONS)?),
            "town" => json!(one_of(&TOWNS)?),
            "sport" => json!(one_of(&SPORTS)?),
            "collar" | "colour" => json!(one_of(&COLOURS)?),
            "animal" => json!(one_of(&ANIMALS)?),
            "vehicle" => json!(one_of(&VEHICLES)?),
            "instrument" => json!(one_of(&INSTRUMENTS)?),
            "day" => json!(one_of(&WEEKDAYS)?),
            "item" => json!(words.iter().find(|word| is_thing(word))?),
            "quantity" => json!(before(&is_thing)?),
            "age" => json!(before(&|word| word == "years")?),
            "price" => json!(before(&|word| word == "euros")?),
            "nights" => json!(before(&|word| word == "nights")?),
            "minutes" => json!(before(&|word| word == "minutes")?),
            "year" => {
                let years = words
                    .windows(2)
                    .filter(|two| ["in", "year"].contains(&two[0]));
                json!(years.filter_map(|two| number(two[1])).next()?)
            }
            "arrival" => json!(words.iter().find(is_day)?),
            "start" => json!(words.iter().find(is_time)?),
            "paid" => json!(flag("paid", "not")?),
            "vaccinated" => json!(flag("vaccinated", "not")?),
            "breakfast" => json!(flag("breakfast", "without")?),
            _ => panic!("{name} is read nowhere"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::checking::seeded;
    use super::*;

    #[test]
    fn every_telling_tells_every_fact() {
        for subject in SUBJECTS {
            for telling in subject.tellings {
                for field in subject.fields {
                    assert!(
                        telling.contains(&format!("{{{}}}", field.names[0])),
                        "{telling}"
                    );
                }
            }
        }
        for mut rng in seeded() {
            let facts = Facts::any(&mut rng);
            let told = facts.told(&mut rng);
            let (subject, values) = reading::facts(&told).unwrap_or_else(|| panic!("{told}"));
            assert_eq!(subject.plural, facts.subject.plural);
            assert_eq!(
                serde_json::to_value(&facts.values).unwrap(),
                serde_json::json!(values),
                "{told}"
            );
        }
    }

    #[test]
    fn fields_of_a_subject_share_no_key() {
        for subject in SUBJECTS {
            let names: Vec<_> = subject
                .fields
                .iter()
                .flat_map(|field| field.names)
                .collect();
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        }
    }
}
