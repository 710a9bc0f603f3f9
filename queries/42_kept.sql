-- The diverse rows that nothing drops; computed where it is read.
--
-- in   firsts(source_idx, kind, source_row, sample_id, instruction, input, output)
--      near(source_idx, source_row, …)            the rows that go as near-duplicates
--      contaminated(source_idx, source_row, …)    the rows that are what is measured on
-- out  source_idx, source_row, sample_id, instruction, input, output      in no order
SELECT
    unlike.source_idx,
    unlike.source_row,
    sample_id,
    instruction,
    input,
    output
FROM contaminated
RIGHT ANTI JOIN (
    SELECT
        firsts.source_idx,
        firsts.source_row,
        sample_id,
        instruction,
        input,
        output
    FROM near
    RIGHT ANTI JOIN firsts ON near.source_idx = firsts.source_idx AND near.source_row = firsts.source_row
    WHERE firsts.kind = 'diverse'
) AS unlike ON contaminated.source_idx = unlike.source_idx AND contaminated.source_row = unlike.source_row;
