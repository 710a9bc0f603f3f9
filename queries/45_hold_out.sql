-- The diverse rows that are set aside to measure on.
--
-- in   kept(source_idx, source_row, sample_id, …)
-- out  source_idx, source_row
-- with $n_rows  BIGINT    rows to set aside
--
-- An id is a hash, so the smallest ids are a random choice that no seed moves: builds over the same files are measured on
-- the same rows, whatever their seed, ratio and order. What a generator yields depends on the seed and, unless its rows are
-- fixed, on the ratio; so does what is held out of it.
WITH chosen AS (
    SELECT source_idx, source_row, sample_id
    FROM kept
    ORDER BY sample_id
    LIMIT CAST($n_rows AS BIGINT)
)
SELECT source_idx, source_row
FROM chosen
ORDER BY source_idx, source_row;
