-- Keys by which near-duplicates find each other: two rows that share none are not compared.
--
-- in   shingled(nth, same_as, shingles, …)
-- out  nth, n_shingles, key       one row for every key of every set that is the first of its equals
-- with $method        VARCHAR               exact | minhash
--      $threshold     DOUBLE                the similarity to find
--      $frequent      BIGINT UNSIGNED[]     for exact: what 26_frequent_shingles.sql found
--      $permutations  BIGINT                for minhash: places of a signature
--      $rows          BIGINT                for minhash: places of a band
--      $seed          BIGINT UNSIGNED       for minhash: changes which pairs are missed
--
-- exact    the rarest pieces of a set, so many that another set without any of them is below the threshold: no pair is missed.
-- minhash  the bands of a signature: a pair at the threshold is found with a probability of 0.99 or more.
WITH keyed AS (
    SELECT
        nth,
        CAST(cardinality(shingles) AS BIGINT) AS n_shingles,
        CASE
            WHEN CAST($method AS VARCHAR) = 'exact' THEN rare_prefix(shingles, $frequent, CAST($threshold AS DOUBLE))
            ELSE minhash_bands(
                shingles,
                CAST($permutations AS BIGINT),
                CAST($rows AS BIGINT),
                CAST($seed AS BIGINT UNSIGNED)
            )
        END AS keys
    FROM shingled
    WHERE nth = same_as
)
SELECT nth, n_shingles, unnest(keys) AS key
FROM keyed
ORDER BY nth, key;
