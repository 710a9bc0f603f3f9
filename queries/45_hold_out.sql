-- The pool of diverse rows, and which of them are set aside to measure on.
--
-- in   deduped(source_idx, kind, source_row, sample_id, first_source_idx, first_source_row)
--      near(source_idx, source_row, …)    the rows that go as near-duplicates
--      contaminated(source_idx, source_row, …)    the rows that are what is measured on
-- out  source_idx, source_row, sample_id, held_out
-- with $n_rows  BIGINT    rows to set aside
--
-- An id is a hash, so the smallest ids are a random choice that no seed moves: builds over the same files are measured on
-- the same rows, whatever their seed, ratio and order. What a generator yields depends on the seed and, unless its rows are
-- fixed, on the ratio; so does what is held out of it.
WITH firsts AS (
    SELECT source_idx, source_row, sample_id
    FROM deduped
    WHERE kind = 'diverse' AND first_source_idx = source_idx AND first_source_row = source_row
),
kept AS (
    SELECT unlike.source_idx, unlike.source_row, sample_id
    FROM contaminated
    RIGHT ANTI JOIN (
        SELECT firsts.source_idx, firsts.source_row, sample_id
        FROM near
        RIGHT ANTI JOIN firsts ON near.source_idx = firsts.source_idx AND near.source_row = firsts.source_row
    ) AS unlike
        ON contaminated.source_idx = unlike.source_idx AND contaminated.source_row = unlike.source_row
),
set_aside AS (
    SELECT source_idx, source_row
    FROM kept
    ORDER BY sample_id
    LIMIT CAST($n_rows AS BIGINT)
)
SELECT kept.source_idx, kept.source_row, sample_id, set_aside.source_row IS NOT NULL AS held_out
FROM set_aside
RIGHT JOIN kept ON kept.source_idx = set_aside.source_idx AND kept.source_row = set_aside.source_row
ORDER BY kept.source_idx, kept.source_row;
