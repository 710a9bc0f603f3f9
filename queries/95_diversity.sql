-- How diverse the pool is, a random pick from it, and the rows that were chosen: one row each.
--
-- in   compared(source_idx, source_row, sample_id, cluster, lead_pair, n_words, in_random, in_chosen)
--      normalized(source_idx, source_row, instruction, input, output, …)
-- out  pick                                  pool | random | diverse
--      rows, words                           of instruction, input and output
--      distinct_1, distinct_2, distinct_3    different runs of 1, 2, 3 words for each run there is
--      lead_pairs                            different pairs of the instruction's verb and its noun
--      lead_pair_entropy, lead_pair_share    how evenly they are used, in bits; the share of rows that have one
--      clusters, cluster_entropy             clusters with a row, and how evenly the rows lie in them, in bits
--      cluster_coverage                      the share of the pool's clusters that have a row
--      mean_distance, pairs                  1 − Jaccard similarity of two prompts' words, and how many pairs of rows were compared
-- with $n_compared  BIGINT             rows to compare, each with the next in a seeded order
--      $seed        BIGINT UNSIGNED    changes which rows are compared
--
-- The picks have the same number of words, so their figures can be compared with each other; of the shares of different runs,
-- those of the larger pool are lower by nature. The cost is linear in the rows.
WITH picks AS (
    SELECT 'pool' AS pick, 0 AS nth
    UNION ALL
    SELECT 'random' AS pick, 1 AS nth
    UNION ALL
    SELECT 'diverse' AS pick, 2 AS nth
),
picked AS (
    SELECT pick, compared.cluster, lead_pair
    FROM compared
    JOIN picks ON pick = 'pool' OR (pick = 'random' AND in_random) OR (pick = 'diverse' AND in_chosen)
),
texts AS (
    SELECT
        in_random,
        in_chosen,
        n_words,
        word_hashes(concat(instruction, chr(10), input, chr(10), output)) AS words
    FROM compared
    JOIN normalized ON normalized.source_idx = compared.source_idx AND normalized.source_row = compared.source_row
),
runs AS (
    SELECT
        pick,
        count(*) AS n_rows,
        sum(n_words) AS n_words,
        distinct_ngrams(words, CAST(1 AS BIGINT)) AS distinct_1,
        distinct_ngrams(words, CAST(2 AS BIGINT)) AS distinct_2,
        distinct_ngrams(words, CAST(3 AS BIGINT)) AS distinct_3
    FROM texts
    JOIN picks ON pick = 'pool' OR (pick = 'random' AND in_random) OR (pick = 'diverse' AND in_chosen)
    GROUP BY pick
),
pairs AS (
    SELECT pick, lead_pair, count(*) AS n_rows
    FROM picked
    WHERE lead_pair IS NOT NULL
    GROUP BY pick, lead_pair
),
leads AS (
    SELECT pick, count(*) AS n_pairs, sum(n_rows) AS n_rows, entropy(n_rows) AS bits
    FROM pairs
    GROUP BY pick
),
filled AS (
    SELECT pick, picked.cluster, count(*) AS n_rows
    FROM picked
    GROUP BY pick, picked.cluster
),
spread AS (
    SELECT pick, count(*) AS n_clusters, entropy(n_rows) AS bits
    FROM filled
    GROUP BY pick
),
placed AS (
    SELECT
        source_idx,
        source_row,
        sample_id,
        in_random,
        in_chosen,
        seeded_hash(sample_id, 'compare', CAST(0 AS BIGINT), CAST($seed AS BIGINT UNSIGNED)) AS place
    FROM compared
),
sampled AS (
    (
        SELECT 'pool' AS pick, source_idx, source_row, sample_id, place
        FROM placed
        ORDER BY place, sample_id
        LIMIT CAST($n_compared AS BIGINT)
    )
    UNION ALL
    (
        SELECT 'random' AS pick, source_idx, source_row, sample_id, place
        FROM placed
        WHERE in_random
        ORDER BY place, sample_id
        LIMIT CAST($n_compared AS BIGINT)
    )
    UNION ALL
    (
        SELECT 'diverse' AS pick, source_idx, source_row, sample_id, place
        FROM placed
        WHERE in_chosen
        ORDER BY place, sample_id
        LIMIT CAST($n_compared AS BIGINT)
    )
),
ranked AS (
    SELECT pick, source_idx, source_row, row_number() OVER (PARTITION BY pick ORDER BY place, sample_id) AS nth
    FROM sampled
),
prompts AS (
    SELECT pick, nth, shingles(concat(instruction, chr(10), input), 'word:1') AS words
    FROM ranked
    JOIN normalized ON normalized.source_idx = ranked.source_idx AND normalized.source_row = ranked.source_row
),
neighbours AS (
    SELECT pick, words, lead(words) OVER (PARTITION BY pick ORDER BY nth) AS next_words
    FROM prompts
),
-- Whole millionths, so that the mean does not depend on the order in which they are added.
distances AS (
    SELECT pick, count(*) AS n_pairs, sum(CAST(1000000 * (1 - jaccard(words, next_words)) AS BIGINT)) AS millionths
    FROM neighbours
    WHERE next_words IS NOT NULL
    GROUP BY pick
)
SELECT
    picks.pick,
    CAST(runs.n_rows AS BIGINT UNSIGNED) AS rows,
    CAST(runs.n_words AS BIGINT UNSIGNED) AS words,
    distinct_1,
    distinct_2,
    distinct_3,
    CAST(coalesce(leads.n_pairs, 0) AS BIGINT UNSIGNED) AS lead_pairs,
    leads.bits AS lead_pair_entropy,
    coalesce(leads.n_rows, 0) / CAST(runs.n_rows AS DOUBLE) AS lead_pair_share,
    CAST(n_clusters AS BIGINT UNSIGNED) AS clusters,
    spread.bits AS cluster_entropy,
    n_clusters / CAST(max(n_clusters) OVER () AS DOUBLE) AS cluster_coverage,
    millionths / CAST(1000000 * distances.n_pairs AS DOUBLE) AS mean_distance,
    CAST(coalesce(distances.n_pairs, 0) AS BIGINT UNSIGNED) AS pairs
FROM picks
JOIN runs ON runs.pick = picks.pick
LEFT JOIN leads ON leads.pick = picks.pick
LEFT JOIN spread ON spread.pick = picks.pick
LEFT JOIN distances ON distances.pick = picks.pick
ORDER BY picks.nth;
