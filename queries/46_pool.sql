-- The diverse rows to draw from; computed where it is read.
--
-- in   kept(source_idx, source_row, sample_id, instruction, input, output)
--      set_aside(source_idx, source_row)    the rows to measure on
-- out  source_idx, source_row, sample_id, instruction, input, output      in no order
SELECT
    kept.source_idx,
    kept.source_row,
    sample_id,
    instruction,
    input,
    output
FROM set_aside
RIGHT ANTI JOIN kept ON set_aside.source_idx = kept.source_idx AND set_aside.source_row = kept.source_row;
