-- What is the same in all prompts of a task source that has nothing but prompts; runs only where they are split by it.
--
-- in   firsts(source_idx, kind, source_row, instruction, input, …)
--      sources(source_idx, name, …)
-- out  source_idx, name, n_rows, prefix, suffix, sample
--      a row for every such source; both ends in whole lines, and empty where nothing is the same; `sample` is its first prompt
WITH shared AS (
    SELECT
        source_idx,
        count(*) AS n_rows,
        min(source_row) AS first_row,
        shared_ends(instruction) AS ends
    FROM firsts
    WHERE kind = 'task'
    GROUP BY source_idx
    HAVING bool_and(is_blank(input))
)
SELECT
    shared.source_idx,
    name,
    CAST(n_rows AS BIGINT) AS n_rows,
    ends[1] AS prefix,
    ends[2] AS suffix,
    instruction AS sample
FROM sources
JOIN shared ON shared.source_idx = sources.source_idx
JOIN firsts ON firsts.source_idx = shared.source_idx AND firsts.source_row = shared.first_row
ORDER BY shared.source_idx;
