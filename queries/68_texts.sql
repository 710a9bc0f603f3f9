-- The texts that positions of the stream may have; computed where it is read.
--
-- in   tasks(source_idx, text_row, source_row, sample_id, direction, instruction, input, output)
--      normalized(source_idx, kind, source_row, sample_id, instruction, input, output, …)
-- out  source_idx, text_row, source_row, sample_id, direction, instruction, input, output      in no order
--      `text_row` names a text among those of its source: a diverse row has one, its own
SELECT source_idx, text_row, source_row, sample_id, direction, instruction, input, output
FROM tasks
UNION ALL
SELECT
    source_idx,
    source_row AS text_row,
    source_row,
    sample_id,
    CAST(NULL AS VARCHAR) AS direction,
    instruction,
    input,
    output
FROM normalized
WHERE kind = 'diverse';
