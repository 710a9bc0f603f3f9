-- The rows to train on that can be used, and are not what is measured on; computed where it is read.
--
-- in   normalized(source_idx, kind, source_row, sample_id, instruction, input, output, reason, …)
--      contaminated(source_idx, source_row, …)    the task rows that are what is measured on
-- out  source_idx, kind, source_row, sample_id, instruction, input, output      in no order
SELECT
    normalized.source_idx,
    kind,
    normalized.source_row,
    sample_id,
    instruction,
    input,
    output
FROM contaminated
RIGHT ANTI JOIN normalized
    ON contaminated.source_idx = normalized.source_idx AND contaminated.source_row = normalized.source_row
WHERE normalized.reason IS NULL AND kind IN ('task', 'diverse');
