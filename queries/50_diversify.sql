-- The order in which each source gives its diverse samples, as far as it is needed: none twice before all once.
--
-- in   pool(source_idx, source_row, sample_id, held_out)
--      clusters(source_idx, source_row, cluster, opening)    samples of a kind; without rows where the selection is random
--      supply(source_idx, n_pool, n_draws)                   rows there are and rows to draw, one row a source
-- out  source_idx, source_row, sample_id, round, nth
--      `round` counts how often the source's pool has been used up before; `nth` numbers its draws 0, 1, 2, …
-- with $select  VARCHAR            random | diverse
--      $seed    BIGINT UNSIGNED    changes which rows are drawn, never how many
--
-- random   each round has its own seeded order.
-- diverse  the clusters take turns, and so do the openings: a sample that is the second of its cluster and the third of its
--          opening, in the seeded order, has the rank 2 · 3; the smallest ranks come first, equal ones in the seeded order.
WITH rounds AS (
    SELECT source_idx, n_pool, n_draws, unnest(generate_series(0, (n_draws - 1) / n_pool)) AS round
    FROM supply
    WHERE n_draws > 0
),
kinds AS (
    SELECT source_idx, source_row, clusters.cluster AS kind, opening
    FROM clusters
    WHERE CAST($select AS VARCHAR) = 'diverse'
),
hashed AS (
    SELECT
        pool.source_idx,
        pool.source_row,
        sample_id,
        round,
        n_pool,
        n_draws,
        kind,
        opening,
        seeded_hash(sample_id, 'draw', round, CAST($seed AS BIGINT UNSIGNED)) AS hash
    FROM rounds
    JOIN pool ON pool.source_idx = rounds.source_idx
    LEFT JOIN kinds ON kinds.source_idx = pool.source_idx AND kinds.source_row = pool.source_row
    WHERE NOT held_out
),
turns AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY source_idx, round, kind
            ORDER BY hash, sample_id
        ) AS nth_of_cluster,
        row_number() OVER (
            PARTITION BY source_idx, round, opening
            ORDER BY hash, sample_id
        ) AS nth_of_opening
    FROM hashed
),
turned AS (
    SELECT
        *,
        CASE WHEN CAST($select AS VARCHAR) = 'diverse' THEN nth_of_cluster * nth_of_opening ELSE 0 END AS turn
    FROM turns
),
ranked AS (
    SELECT
        *,
        round * n_pool - 1 + CAST(row_number() OVER (
            PARTITION BY source_idx, round
            ORDER BY turn, hash, sample_id
        ) AS BIGINT) AS nth
    FROM turned
)
SELECT source_idx, source_row, sample_id, round, nth
FROM ranked
WHERE nth < n_draws
ORDER BY source_idx, nth;
