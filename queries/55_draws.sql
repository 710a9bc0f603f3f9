-- The diverse samples to use, by pass.
--
-- in   ranked(source_idx, source_row, sample_id, round, nth)
--      allotment(source_idx, round, pass, first_nth, n_draws, n_before)
--      the draws of each source and pass, a row for every round they reach into; `n_before` counts those of earlier passes
-- out  source_idx, source_row, sample_id, pass, round, draw      in no order
--      in strict order `draw` numbers the draws of a pass 0, 1, 2, …; other orders do not ask, and it is null
-- with $order  VARCHAR    shuffled | strict | staged | stratified
--
-- In strict order the sources take turns. The k-th of a source's n draws is due at (k + 1/2) / n (Webster's method), so every
-- stretch of draws holds the sources in their shares.
WITH allotted AS (
    SELECT
        ranked.source_idx,
        source_row,
        sample_id,
        pass,
        ranked.round,
        n_before,
        (nth - first_nth + 0.5) / n_draws AS due
    FROM allotment
    JOIN ranked ON ranked.source_idx = allotment.source_idx AND ranked.round = allotment.round
    WHERE nth >= first_nth AND nth < first_nth + n_draws
)
SELECT
    source_idx,
    source_row,
    sample_id,
    pass,
    round,
    CASE
        WHEN CAST($order AS VARCHAR) = 'strict' THEN
            CAST(row_number() OVER (ORDER BY pass, due, source_idx) AS BIGINT) - 1 - n_before
    END AS draw
FROM allotted;
