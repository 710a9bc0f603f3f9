-- One row shape from any source: texts are never null, placeholder inputs are gone, unusable rows carry their reason.
--
-- in   raw(source_row, instruction, input, output, marks, problem)      the records of one source, in its order
-- out  source_idx, kind, source_row, sample_id, instruction, input, output, reason, matched, marks
--      in the order of the source; `reason` is null for a usable row, `matched` says what is wrong with another; `marks`
--      names what is counted of a row, with spaces between, and is null where that is nothing
-- with $source_idx       BIGINT     the source's place in the table `sources`
--      $kind             VARCHAR    what its samples are for: task | diverse | held_out | eval
--      $repair_mojibake  BOOLEAN    whether UTF-8 that was misread as Windows-1252 is put right
--
-- Kept text stays byte for byte what the source holds, unless it is repaired: nothing is trimmed.
WITH repaired AS (
    SELECT
        source_row,
        CASE WHEN CAST($repair_mojibake AS BOOLEAN) THEN repair_mojibake(instruction) ELSE instruction END AS instruction,
        CASE WHEN CAST($repair_mojibake AS BOOLEAN) THEN repair_mojibake(input) ELSE input END AS input,
        CASE WHEN CAST($repair_mojibake AS BOOLEAN) THEN repair_mojibake(output) ELSE output END AS output,
        instruction AS read_instruction,
        input AS read_input,
        output AS read_output,
        marks,
        problem
    FROM raw
),
texts AS (
    SELECT
        source_row,
        coalesce(instruction, '') AS instruction,
        CASE WHEN is_placeholder(input) THEN '' ELSE coalesce(input, '') END AS input,
        coalesce(output, '') AS output,
        CASE
            WHEN (instruction IS DISTINCT FROM read_instruction)
                OR (input IS DISTINCT FROM read_input)
                OR (output IS DISTINCT FROM read_output)
            THEN concat_ws(' ', marks, 'repaired_mojibake')
            ELSE marks
        END AS marks,
        problem
    FROM repaired
)
SELECT
    CAST($source_idx AS BIGINT) AS source_idx,
    CAST($kind AS VARCHAR) AS kind,
    source_row,
    sample_id(instruction, input, output) AS sample_id,
    instruction,
    input,
    output,
    CASE
        WHEN problem IS NOT NULL THEN 'unreadable'
        -- A benchmark may come without responses: its rows are only compared with.
        WHEN is_blank(output) AND CAST($kind AS VARCHAR) <> 'eval' THEN 'empty_output'
        WHEN is_blank(instruction) AND is_blank(input) THEN 'empty_prompt'
    END AS reason,
    problem AS matched,
    marks
FROM texts
ORDER BY source_row;
