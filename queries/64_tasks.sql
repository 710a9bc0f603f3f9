-- The task rows of the stream.
--
-- in   worded(source_idx, text_row, source_row, direction, instruction, input, output)
-- out  source_idx, text_row, source_row, sample_id, direction, instruction, input, output
--      of equal rows the first: two samples may meet in one wording
-- with $anchor  VARCHAR    text that every instruction ends with, on a line of its own, or null
WITH anchored AS (
    SELECT
        source_idx,
        text_row,
        source_row,
        direction,
        CASE
            WHEN CAST($anchor AS VARCHAR) IS NULL THEN instruction
            ELSE concat(instruction, chr(10), CAST($anchor AS VARCHAR))
        END AS instruction,
        input,
        output
    FROM worded
),
named AS (
    SELECT *, sample_id(instruction, input, output) AS sample_id
    FROM anchored
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY sample_id ORDER BY source_idx, text_row) AS nth
    FROM named
)
SELECT
    source_idx,
    text_row,
    source_row,
    sample_id,
    direction,
    instruction,
    input,
    output
FROM numbered
WHERE nth = 1
ORDER BY source_idx, text_row;
