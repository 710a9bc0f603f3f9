-- The pool of diverse rows, and which of them are set aside to measure on.
--
-- in   deduped(source_idx, source_row, sample_id, first_source_idx, first_source_row)
--      sources(source_idx, kind, …)
-- out  source_idx, source_row, sample_id, held_out
-- with $n_rows  BIGINT    rows to set aside
--
-- An id is a hash, so the smallest ids are a random choice that no seed moves: builds that differ only in seed, ratio or
-- order are measured on the same rows.
WITH kept AS (
    SELECT deduped.source_idx, source_row, sample_id
    FROM deduped
    JOIN sources ON sources.source_idx = deduped.source_idx
    WHERE kind = 'diverse'
        AND first_source_idx = deduped.source_idx
        AND first_source_row = source_row
)
SELECT
    source_idx,
    source_row,
    sample_id,
    -- The frame says ROWS because the default, RANGE, is not defined over binary columns.
    CAST(row_number() OVER (
        ORDER BY sample_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS BIGINT) <= CAST($n_rows AS BIGINT) AS held_out
FROM kept
ORDER BY source_idx, source_row;
