-- One row shape from any source: texts are never null, placeholder inputs are gone, unusable rows carry their reason.
--
-- in   raw(source_row, instruction, input, output, problem)      the records of one source, in its order
-- out  source_idx, kind, source_row, sample_id, instruction, input, output, reason, matched
--      in the order of the source; `reason` is null for a usable row, `matched` says what is wrong with another
-- with $source_idx  BIGINT     the source's place in the table `sources`
--      $kind        VARCHAR    what its samples are for: task | diverse | held_out | eval
--
-- Kept text stays byte for byte what the source holds: nothing is trimmed.
WITH texts AS (
    SELECT
        source_row,
        coalesce(instruction, '') AS instruction,
        CASE WHEN is_placeholder(input) THEN '' ELSE coalesce(input, '') END AS input,
        coalesce(output, '') AS output,
        problem
    FROM raw
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
    problem AS matched
FROM texts
ORDER BY source_row;
