-- The task samples, with what of their prompts is an instruction that may be reworded; computed where it is read.
--
-- in   firsts(source_idx, kind, source_row, sample_id, instruction, input, output)
--      shared_prompts(source_idx, prefix, suffix, …)    without rows where prompts are not split by what they share
-- out  source_idx, source_row, sample_id, head, instruction, tail, has_input, input, output      in no order
--      head, instruction and tail, one after the other, are the instruction as it was; `has_input` says whether what it is about
--      stands elsewhere
-- with $pattern  VARCHAR    finds what is not instruction, or is null
WITH parts AS (
    SELECT
        firsts.source_idx,
        source_row,
        sample_id,
        prompt_parts(instruction, input, prefix, suffix, CAST($pattern AS VARCHAR)) AS parts,
        input,
        output
    FROM shared_prompts
    RIGHT JOIN firsts ON firsts.source_idx = shared_prompts.source_idx
    WHERE kind = 'task'
)
SELECT
    source_idx,
    source_row,
    sample_id,
    parts['head'] AS head,
    parts['instruction'] AS instruction,
    parts['tail'] AS tail,
    parts['has_input'] AS has_input,
    input,
    output
FROM parts;
