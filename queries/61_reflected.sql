-- The task rows of the stream where a language model has bettered them; runs only for `--reword reflect`.
--
-- in   firsts(source_idx, kind, source_row, instruction, input, output, …)
--      reflected(source_idx, source_row, instruction, output)    the rows of which anything was bettered
-- out  source_idx, text_row, source_row, sample_id, direction, instruction, input, output
--      as in 60_reword.sql; `direction` is `reflection`, and null for a row as it was
-- with $keep_original  BOOLEAN    whether the row as it was stands beside the other
--      $anchor         VARCHAR    text that every instruction ends with, or null
WITH texts AS (
    SELECT
        firsts.source_idx,
        firsts.source_row,
        1 AS variant,
        'reflection' AS direction,
        reflected.instruction,
        input,
        reflected.output
    FROM reflected
    JOIN firsts ON firsts.source_idx = reflected.source_idx AND firsts.source_row = reflected.source_row
    UNION ALL
    SELECT
        firsts.source_idx,
        firsts.source_row,
        0 AS variant,
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
        firsts.source_row,
        0 AS variant,
        CAST(NULL AS VARCHAR) AS direction,
        instruction,
        input,
        output
    FROM reflected
    RIGHT ANTI JOIN firsts ON firsts.source_idx = reflected.source_idx AND firsts.source_row = reflected.source_row
    WHERE kind = 'task'
),
anchored AS (
    SELECT
        source_idx,
        source_row * CAST(2 AS BIGINT UNSIGNED) + CAST(variant AS BIGINT UNSIGNED) AS text_row,
        source_row,
        direction,
        CASE
            WHEN CAST($anchor AS VARCHAR) IS NULL THEN instruction
            ELSE concat(instruction, chr(10), CAST($anchor AS VARCHAR))
        END AS instruction,
        input,
        output
    FROM texts
)
SELECT
    source_idx,
    text_row,
    source_row,
    sample_id(instruction, input, output) AS sample_id,
    direction,
    instruction,
    input,
    output
FROM anchored
ORDER BY source_idx, text_row;
