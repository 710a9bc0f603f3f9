//! Divisibility: primes, factorisations, common divisors and multiples.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{joined, listed},
    phrasing::{Form, Prompt, fill, pick},
    working::worked,
};

const PRIME: &[&str] = &[
    "Is {n} a prime number?",
    "Tell me whether {n} is prime.",
    "Is {n} prime or not?",
    "Does {n} have any divisor other than 1 and itself?",
    "Check whether the number {n} is composite.",
    "Decide if {n} is a prime or a composite number.",
    "Would you call {n} a prime?",
    "I am wondering whether {n} is prime. Is it?",
    "Can {n} be divided evenly by anything but 1 and {n}?",
    "Prime or composite: {n}",
];

const IS_PRIME: &[&str] = &[
    "{n} is prime.",
    "{n} is a prime number: no prime up to its square root divides it.",
    "{n} is prime, because its only divisors are 1 and {n}.",
];

const IS_COMPOSITE: &[&str] = &[
    "{n} is composite, because {factor} × {other} = {n}.",
    "{n} is not prime: it is {factor} times {other}.",
    "{n} is composite. It can be divided by {factor}, which gives {other}.",
];

const FACTORISE: &[&str] = &[
    "Write {n} as a product of primes.",
    "What is the prime factorisation of {n}?",
    "Break {n} down into its prime factors.",
    "Factorise {n} into primes.",
    "Find the prime factors of {n}, repeating a factor as often as it occurs.",
    "Which primes multiply to give {n}?",
    "Decompose {n} into prime factors, smallest first.",
    "Give the prime decomposition of {n}.",
    "I need {n} split into primes.",
    "Express {n} as primes multiplied together.",
];

const COMMON: &[&str] = &[
    "What is the {what} of {a} and {b}?",
    "Find the {what} of {a} and {b}.",
    "Compute the {what} of the numbers {a} and {b}.",
    "Give me the {what} of {a} and {b}, please.",
    "For {a} and {b}, what is the {what}?",
    "Work out the {what} of {a} and {b}.",
    "Take {a} and {b}. What is their {what}?",
    "Two numbers are given: {a} and {b}. Determine their {what}.",
    "I am looking for the {what} of {a} and {b}.",
    "Determine the {what} for the pair {a}, {b}.",
];

const DIVISORS: &[&str] = &[
    "List all divisors of {n}.",
    "Which positive whole numbers divide {n} without a remainder?",
    "Write down every factor of {n} in increasing order.",
    "What are the divisors of {n}?",
    "Give all the factors of {n}, starting with 1.",
    "By which numbers can {n} be divided evenly?",
    "Name each positive divisor of {n}.",
    "Find every number that goes into {n} exactly.",
    "I need the complete list of divisors of {n}.",
    "Show me all factors of the number {n}.",
];

/// The greatest number that divides both, by Euclid's algorithm.
pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// Whether a number is prime, with its smallest factor as the reason.
pub(super) fn prime(rng: &mut Rng) -> Pair {
    // Odd and no multiple of five two times in three: the others are too easy.
    let n = loop {
        let n = rng.random_range(11..=2_999_i64);
        if (n % 2 != 0 && n % 5 != 0) || rng.random_ratio(1, 3) {
            break n;
        }
    };
    let prompt = Prompt::new(rng, PRIME, "", &[("n", &n)]);
    let factors = prime_factors(n);
    let smallest = factors[0];
    let reasons = if smallest == n {
        IS_PRIME
    } else {
        IS_COMPOSITE
    };
    prompt.answered(fill(
        pick(rng, reasons),
        &[("n", &n), ("factor", &smallest), ("other", &(n / smallest))],
    ))
}

/// The prime factors of a composite number.
pub(super) fn factorisation(rng: &mut Rng) -> Pair {
    let n = loop {
        let n = rng.random_range(12..=5_000_i64);
        // A number with one huge factor is a search, not an exercise.
        if prime_factors(n)
            .last()
            .is_some_and(|&largest| largest <= 97 && largest < n)
        {
            break n;
        }
    };
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, FACTORISE, "", &[("n", &n)]).in_form(form, rng);
    let factors = prime_factors(n);
    let product = joined(&factors, " × ");
    prompt.answered(match form {
        Form::Bare => product,
        Form::Sentence => format!("The prime factorisation of {n} is {product}."),
        Form::Steps => {
            let mut rest = n;
            let mut steps = Vec::new();
            for factor in &factors[..factors.len() - 1] {
                steps.push(format!("{rest} ÷ {factor} = {}", rest / factor));
                rest /= factor;
            }
            worked(
                rng,
                &steps,
                &format!("Since {rest} is prime, {n} = {product}."),
            )
        }
    })
}

/// The greatest common divisor or the least common multiple of two numbers.
pub(super) fn common(rng: &mut Rng) -> Pair {
    let shared = rng.random_range(1..=18_i64);
    let (a, b) = (
        shared * rng.random_range(2..=16_i64),
        shared * rng.random_range(2..=16_i64),
    );
    let divisor = rng.random_bool(0.5);
    let what = match divisor {
        true => pick(
            rng,
            &[
                "greatest common divisor",
                "highest common factor",
                "largest common divisor",
            ],
        ),
        false => pick(
            rng,
            &[
                "least common multiple",
                "lowest common multiple",
                "smallest common multiple",
            ],
        ),
    };
    let form = Form::any(rng);
    let prompt =
        Prompt::new(rng, COMMON, "", &[("what", &what), ("a", &a), ("b", &b)]).in_form(form, rng);
    let greatest = gcd(a, b);
    let answer = if divisor { greatest } else { a / greatest * b };
    let conclusion = format!("The {what} of {a} and {b} is {answer}.");
    prompt.answered(match form {
        Form::Bare => answer.to_string(),
        Form::Sentence => conclusion,
        Form::Steps => {
            let mut steps = vec![
                format!("{a} = {}", joined(&prime_factors(a), " × ")),
                format!("{b} = {}", joined(&prime_factors(b), " × ")),
            ];
            steps.push(match (divisor, greatest) {
                (true, 1) => "the two have no prime factor in common".to_owned(),
                (true, _) => format!("the shared factors multiply to {greatest}"),
                (false, 1) => {
                    format!("they share no factor, so multiply them: {a} × {b} = {answer}")
                }
                (false, _) => {
                    format!("the shared part is {greatest}, so {a} × {b} ÷ {greatest} = {answer}")
                }
            });
            worked(rng, &steps, &conclusion)
        }
    })
}

/// Every divisor of a number.
pub(super) fn divisors(rng: &mut Rng) -> Pair {
    let n = rng.random_range(12..=600_i64);
    let form = Form::brief(rng);
    let prompt = Prompt::new(rng, DIVISORS, "", &[("n", &n)]).in_form(form, rng);
    let divisors: Vec<i64> = (1..=n).filter(|d| n % d == 0).collect();
    prompt.answered(match form {
        Form::Bare => joined(&divisors, ", "),
        _ => format!("The divisors of {n} are {}.", listed(&divisors)),
    })
}

/// Prime factors in ascending order, by trial division; `n` must be at least 2.
fn prime_factors(mut n: i64) -> Vec<i64> {
    let mut factors = Vec::new();
    let mut factor = 2;
    while factor * factor <= n {
        while n % factor == 0 {
            factors.push(factor);
            n /= factor;
        }
        factor += 1;
    }
    if n > 1 {
        factors.push(n);
    }
    factors
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, last_integer, wording};
    use super::*;

    fn is_prime(n: i64) -> bool {
        n > 1 && (2..n).all(|d| n % d != 0)
    }

    #[test]
    fn primes_are_those_that_nothing_divides() {
        for pair in draws(prime) {
            let n = integers(&wording(&pair)).into_iter().max().unwrap();
            let said_prime =
                !pair.output.contains("composite") && !pair.output.contains("not prime");
            assert_eq!(said_prime, is_prime(n), "{pair:?}");
        }
    }

    #[test]
    fn factorisations_are_primes_that_multiply_to_the_number() {
        for pair in draws(factorisation) {
            let n = integers(&wording(&pair))[0];
            let product = pair.output.rsplit(['=']).next().unwrap();
            let product = product
                .strip_prefix(&format!("The prime factorisation of {n}"))
                .unwrap_or(product);
            let factors = integers(product);
            assert!(factors.iter().all(|&factor| is_prime(factor)), "{pair:?}");
            assert!(factors.is_sorted() && factors.len() > 1, "{pair:?}");
            assert_eq!(factors.iter().product::<i64>(), n, "{pair:?}");
        }
    }

    #[test]
    fn common_divisors_and_multiples_are_found_by_search() {
        for pair in draws(common) {
            let [a, b] = integers(&wording(&pair))[..] else {
                panic!("{pair:?}")
            };
            let expected = if pair.instruction.contains("multiple") {
                (1..).find(|n| n % a == 0 && n % b == 0).unwrap()
            } else {
                (1..=a).rev().find(|n| a % n == 0 && b % n == 0).unwrap()
            };
            assert_eq!(last_integer(&pair.output), expected, "{pair:?}");
        }
    }

    #[test]
    fn divisors_come_in_pairs_that_multiply_to_the_number() {
        for pair in draws(divisors) {
            let n = integers(&wording(&pair)).into_iter().max().unwrap();
            let mut found = integers(&pair.output);
            if pair.output.starts_with("The") {
                found.remove(0);
            }
            assert!(
                found
                    .iter()
                    .zip(found.iter().rev())
                    .all(|(a, b)| a * b == n),
                "{pair:?}"
            );
            assert_eq!(
                found.len(),
                (1..=n).filter(|d| n % d == 0).count(),
                "{pair:?}"
            );
        }
    }
}
