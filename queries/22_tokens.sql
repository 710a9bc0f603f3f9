-- How many tokens the samples of one kind have; runs only where a tokenizer is given.
--
-- in   tasks(source_idx, text_row, instruction, input, output, …)
--      firsts(source_idx, kind, source_row, instruction, input, output, …)
-- out  source_idx, text_row, n_tokens
-- with $kind  VARCHAR    task: the rows as they stand in the stream; diverse
--
-- The three texts are counted each for itself, as they stand.
WITH texts AS (
    SELECT 'task' AS kind, source_idx, text_row, instruction, input, output
    FROM tasks
    UNION ALL
    SELECT kind, source_idx, source_row AS text_row, instruction, input, output
    FROM firsts
    WHERE kind = 'diverse'
)
SELECT
    source_idx,
    text_row,
    token_count(instruction) + token_count(input) + token_count(output) AS n_tokens
FROM texts
WHERE kind = $kind
ORDER BY source_idx, text_row;
