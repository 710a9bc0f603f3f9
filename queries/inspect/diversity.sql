-- How diverse the stream is, for every source: what 95_diversity.sql measures, repeats of a row included.
--
-- in   shards(position, kind, source, instruction, input, output, …)
-- out  kind, source, rows, words, distinct_1, distinct_2, distinct_3, lead_pairs, lead_pair_entropy, lead_pair_share,
--      clusters, cluster_entropy, mean_distance, pairs
-- with $n_compared  BIGINT             rows to compare, each with the next in a seeded order
--      $seed        BIGINT UNSIGNED    changes which rows are compared, and which words name the clusters
--
-- The share of different runs falls with the length of a text, so sources of like size can be compared.
WITH texts AS (
    SELECT kind, source, word_hashes(concat(instruction, chr(10), input, chr(10), output)) AS words
    FROM shards
),
runs AS (
    SELECT
        kind,
        source,
        count(*) AS n_rows,
        sum(CAST(cardinality(words) AS BIGINT)) AS n_words,
        distinct_ngrams(words, CAST(1 AS BIGINT)) AS distinct_1,
        distinct_ngrams(words, CAST(2 AS BIGINT)) AS distinct_2,
        distinct_ngrams(words, CAST(3 AS BIGINT)) AS distinct_3
    FROM texts
    GROUP BY kind, source
),
openings AS (
    SELECT kind, source, lead_pair(instruction) AS lead_pair
    FROM shards
),
pairs AS (
    SELECT kind, source, lead_pair, count(*) AS n_rows
    FROM openings
    WHERE lead_pair IS NOT NULL
    GROUP BY kind, source, lead_pair
),
leads AS (
    SELECT kind, source, count(*) AS n_pairs, sum(n_rows) AS n_rows, entropy(n_rows) AS bits
    FROM pairs
    GROUP BY kind, source
),
clustered AS (
    SELECT kind, source, word_cluster(concat(instruction, chr(10), input), CAST($seed AS BIGINT UNSIGNED)) AS name
    FROM shards
),
filled AS (
    SELECT kind, source, name, count(*) AS n_rows
    FROM clustered
    GROUP BY kind, source, name
),
spread AS (
    SELECT kind, source, count(*) AS n_clusters, entropy(n_rows) AS bits
    FROM filled
    GROUP BY kind, source
),
ranked AS (
    SELECT
        kind,
        source,
        position,
        row_number() OVER (
            PARTITION BY kind, source
            ORDER BY
                seeded_hash(sample_id, 'compare', CAST(repeat AS BIGINT), CAST($seed AS BIGINT UNSIGNED)),
                position
        ) AS nth
    FROM shards
),
prompts AS (
    SELECT ranked.kind, ranked.source, nth, shingles(concat(instruction, chr(10), input), 'word:1') AS words
    FROM ranked
    JOIN shards ON shards.position = ranked.position
    WHERE nth <= CAST($n_compared AS BIGINT)
),
neighbours AS (
    SELECT kind, source, words, lead(words) OVER (PARTITION BY kind, source ORDER BY nth) AS next_words
    FROM prompts
),
-- Whole millionths, so that the mean does not depend on the order in which they are added.
distances AS (
    SELECT
        kind,
        source,
        count(*) AS n_pairs,
        sum(CAST(1000000 * (1 - jaccard(words, next_words)) AS BIGINT)) AS millionths
    FROM neighbours
    WHERE next_words IS NOT NULL
    GROUP BY kind, source
)
SELECT
    runs.kind,
    runs.source,
    CAST(runs.n_rows AS BIGINT UNSIGNED) AS rows,
    CAST(coalesce(runs.n_words, 0) AS BIGINT UNSIGNED) AS words,
    round(distinct_1, 4) AS distinct_1,
    round(distinct_2, 4) AS distinct_2,
    round(distinct_3, 4) AS distinct_3,
    CAST(coalesce(leads.n_pairs, 0) AS BIGINT UNSIGNED) AS lead_pairs,
    round(leads.bits, 3) AS lead_pair_entropy,
    round(coalesce(leads.n_rows, 0) / CAST(runs.n_rows AS DOUBLE), 4) AS lead_pair_share,
    CAST(spread.n_clusters AS BIGINT UNSIGNED) AS clusters,
    round(spread.bits, 3) AS cluster_entropy,
    round(millionths / CAST(1000000 * distances.n_pairs AS DOUBLE), 4) AS mean_distance,
    CAST(coalesce(distances.n_pairs, 0) AS BIGINT UNSIGNED) AS pairs
FROM runs
LEFT JOIN leads ON leads.kind = runs.kind AND leads.source = runs.source
LEFT JOIN spread ON spread.kind = runs.kind AND spread.source = runs.source
LEFT JOIN distances ON distances.kind = runs.kind AND distances.source = runs.source
ORDER BY runs.kind DESC, runs.source;
