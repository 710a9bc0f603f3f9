-- The pool with what its rows are measured by, and two picks from it: the rows that were chosen, and random ones.
--
-- in   pool(source_idx, source_row, sample_id, instruction, input, output)
--      drawn(source_idx, source_row, …)
-- out  source_idx, source_row, sample_id, cluster, lead_pair, n_words, in_random, in_chosen
-- with $seed    BIGINT UNSIGNED    the seed of the draw
--      $unseen  BIGINT UNSIGNED    another one, for clusters that the draw has not seen
--
-- The random pick is the start of the order in which `--select random` draws, and as long as the chosen rows of its source in
-- words, not in rows: a longer text says more different things, and training pays by the token. The clusters that the draw
-- spread its rows over would praise it, so others of the same kind are counted.
WITH chosen AS (
    SELECT source_idx, source_row
    FROM drawn
    GROUP BY source_idx, source_row
),
measured AS (
    SELECT
        pool.source_idx,
        pool.source_row,
        pool.sample_id,
        word_cluster(concat(instruction, chr(10), input), CAST($unseen AS BIGINT UNSIGNED)) AS cluster,
        lead_pair(instruction) AS lead_pair,
        CAST(cardinality(word_hashes(concat(instruction, chr(10), input, chr(10), output))) AS BIGINT) AS n_words,
        seeded_hash(pool.sample_id, 'draw', CAST(0 AS BIGINT), CAST($seed AS BIGINT UNSIGNED)) AS place,
        chosen.source_row IS NOT NULL AS in_chosen
    FROM chosen
    RIGHT JOIN pool ON pool.source_idx = chosen.source_idx AND pool.source_row = chosen.source_row
),
counted AS (
    SELECT
        *,
        sum(n_words) OVER (
            PARTITION BY source_idx
            ORDER BY place, sample_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS n_words_until,
        sum(CASE WHEN in_chosen THEN n_words ELSE 0 END) OVER (PARTITION BY source_idx) AS n_words_chosen
    FROM measured
)
SELECT
    source_idx,
    source_row,
    sample_id,
    counted.cluster,
    lead_pair,
    n_words,
    n_words_until <= n_words_chosen AS in_random,
    in_chosen
FROM counted
ORDER BY source_idx, source_row;
