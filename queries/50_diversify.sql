-- The order in which each source gives its diverse samples, as far as it is needed: none twice before all once.
--
-- in   pool(source_idx, source_row, sample_id, …)
--      clusters(source_idx, source_row, sample_id, cluster, opening)
--      the pool by kind; without rows where the selection is random
--      rounds(source_idx, round, n_pool, n_draws, most_hash, is_whole)
--      the rounds through each source's pool, and how many rows are drawn in each; only the first rows of a round are ranked,
--      in a random selection those with a hash up to `most_hash`, and none of a round of which it is enough to know that all
--      of it is drawn
-- out  source_idx, source_row, sample_id, round, nth      in no order
--      `round` counts how often the source's pool has been used up before; `nth` numbers its draws 0, 1, 2, …, and is that of
--      the first in a round without ranks
-- with $select  VARCHAR            random | diverse
--      $seed    BIGINT UNSIGNED    changes which rows are drawn, never how many
--
-- random   each round has its own seeded order.
-- diverse  the clusters take turns, and so do the openings: a sample that is the second of its cluster and the third of its
--          opening, in the seeded order, has the rank 2 · 3; the smallest ranks come first, equal ones in the seeded order.
WITH samples AS (
    SELECT source_idx, source_row, sample_id, clusters.cluster, opening
    FROM clusters
    WHERE CAST($select AS VARCHAR) = 'diverse'
    UNION ALL
    SELECT
        source_idx,
        source_row,
        sample_id,
        CAST(NULL AS BIGINT UNSIGNED) AS cluster,
        CAST(NULL AS BIGINT UNSIGNED) AS opening
    FROM pool
    WHERE CAST($select AS VARCHAR) = 'random'
),
hashed AS (
    SELECT
        samples.*,
        round,
        n_pool,
        n_draws,
        most_hash,
        seeded_hash(sample_id, 'draw', round, CAST($seed AS BIGINT UNSIGNED)) AS hash
    FROM rounds
    JOIN samples ON samples.source_idx = rounds.source_idx
    WHERE NOT is_whole
),
turns AS (
    SELECT
        *,
        CASE
            WHEN CAST($select AS VARCHAR) = 'diverse' THEN row_number() OVER (
                PARTITION BY source_idx, round, cluster
                ORDER BY hash, sample_id
            ) * row_number() OVER (
                PARTITION BY source_idx, round, opening
                ORDER BY hash, sample_id
            )
            ELSE 0
        END AS turn
    FROM hashed
    WHERE CAST($select AS VARCHAR) = 'diverse' OR hash <= most_hash
),
ranked AS (
    SELECT
        *,
        CAST(row_number() OVER (
            PARTITION BY source_idx, round
            ORDER BY turn, hash, sample_id
        ) AS BIGINT) AS place
    FROM turns
)
SELECT source_idx, source_row, sample_id, round, round * n_pool + place - 1 AS nth
FROM ranked
WHERE place <= n_draws
UNION ALL
SELECT pool.source_idx, source_row, sample_id, round, round * n_pool AS nth
FROM rounds
JOIN pool ON pool.source_idx = rounds.source_idx
WHERE is_whole;
