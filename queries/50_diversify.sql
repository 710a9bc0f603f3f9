-- The diverse samples to use: from every source as many as it is allotted, drawn at random, none twice before all once.
--
-- in   pool(source_idx, source_row, sample_id, held_out)
--      allotment(source_idx, n_pool, n_draws)    rows there are and rows to draw, one row a source
-- out  source_idx, source_row, sample_id, pass, draw
--      `pass` counts how often the source's pool has been used up before; `draw` numbers all draws 0, 1, 2, …
-- with $seed  BIGINT UNSIGNED    changes which rows are drawn, never how many
--
-- Each pass over a pool has its own seeded order, and the last pass takes the first rows of its order. The sources take
-- turns: the k-th of a source's n draws is due at (k + 1/2) / n (Webster's method), so every stretch of draws holds the
-- sources in their shares.
WITH passes AS (
    SELECT source_idx, n_pool, n_draws, unnest(generate_series(0, (n_draws - 1) / n_pool)) AS pass
    FROM allotment
    WHERE n_draws > 0
),
ranked AS (
    SELECT
        pool.source_idx,
        source_row,
        sample_id,
        pass,
        n_draws,
        pass * n_pool - 1 + CAST(row_number() OVER (
            PARTITION BY pool.source_idx, pass
            ORDER BY seeded_hash(sample_id, 'draw', pass, CAST($seed AS BIGINT UNSIGNED)), sample_id
        ) AS BIGINT) AS nth
    FROM pool
    JOIN passes ON passes.source_idx = pool.source_idx
    WHERE NOT held_out
)
SELECT
    source_idx,
    source_row,
    sample_id,
    pass,
    CAST(row_number() OVER (ORDER BY (nth + 0.5) / n_draws, source_idx) AS BIGINT) - 1 AS draw
FROM ranked
WHERE nth < n_draws
ORDER BY draw;
