-- The rows that the fit and the evaluation measure on, of one kind.
--
-- in   normalized(source_idx, kind, source_row, sample_id, instruction, input, output, reason, …)
--      set_aside(source_idx, source_row)
--      sources(source_idx, name, …)
-- out  kind, source, source_row, sample_id, instruction, input, output
-- with $kind  VARCHAR    task: the usable rows of the held-out sources; diverse: the rows set aside from the pool
WITH chosen AS (
    SELECT 'task' AS kind, source_idx, source_row
    FROM normalized
    WHERE kind = 'held_out' AND reason IS NULL
    UNION ALL
    SELECT 'diverse' AS kind, source_idx, source_row
    FROM set_aside
)
SELECT
    chosen.kind,
    sources.name AS source,
    chosen.source_row,
    sample_id,
    instruction,
    input,
    output
FROM chosen
JOIN normalized ON normalized.source_idx = chosen.source_idx AND normalized.source_row = chosen.source_row
JOIN sources ON sources.source_idx = chosen.source_idx
WHERE chosen.kind = $kind
ORDER BY chosen.source_idx, chosen.source_row;
