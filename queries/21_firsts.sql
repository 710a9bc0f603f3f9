-- The usable rows, of equal ones the first; computed where it is read.
--
-- in   usable(source_idx, kind, source_row, sample_id, instruction, input, output)
--      copies(source_idx, source_row, …)    the rows that are equal to an earlier one
-- out  source_idx, kind, source_row, sample_id, instruction, input, output      in no order
SELECT
    usable.source_idx,
    kind,
    usable.source_row,
    sample_id,
    instruction,
    input,
    output
FROM copies
RIGHT ANTI JOIN usable ON copies.source_idx = usable.source_idx AND copies.source_row = usable.source_row;
