-- The task samples where a language model has bettered them; runs only for `--reword reflect`.
--
-- in   firsts(source_idx, kind, source_row, instruction, input, output, …)
--      reflected(source_idx, source_row, instruction, output)    the rows of which anything was bettered
-- out  source_idx, text_row, source_row, direction, instruction, input, output
--      as in 60_reword.sql; `direction` is `reflection`, and null for a row as it was
-- with $keep_original  BOOLEAN    whether the row as it was stands beside the other
SELECT
    firsts.source_idx,
    firsts.source_row * CAST(2 AS BIGINT UNSIGNED) + CAST(1 AS BIGINT UNSIGNED) AS text_row,
    firsts.source_row,
    'reflection' AS direction,
    reflected.instruction,
    input,
    reflected.output
FROM reflected
JOIN firsts ON firsts.source_idx = reflected.source_idx AND firsts.source_row = reflected.source_row
UNION ALL
SELECT
    firsts.source_idx,
    firsts.source_row * CAST(2 AS BIGINT UNSIGNED) AS text_row,
    firsts.source_row,
    CAST(NULL AS VARCHAR) AS direction,
    firsts.instruction,
    input,
    firsts.output
FROM reflected
JOIN firsts ON firsts.source_idx = reflected.source_idx AND firsts.source_row = reflected.source_row
WHERE CAST($keep_original AS BOOLEAN)
UNION ALL
SELECT
    firsts.source_idx,
    firsts.source_row * CAST(2 AS BIGINT UNSIGNED) AS text_row,
    firsts.source_row,
    CAST(NULL AS VARCHAR) AS direction,
    instruction,
    input,
    output
FROM reflected
RIGHT ANTI JOIN firsts ON firsts.source_idx = reflected.source_idx AND firsts.source_row = reflected.source_row
WHERE kind = 'task'
ORDER BY source_idx, text_row;
