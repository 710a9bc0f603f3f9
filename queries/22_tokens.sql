-- How many tokens the samples of one kind have; runs only where a tokenizer is given.
--
-- in   deduped(source_idx, kind, source_row, first_source_idx, first_source_row, …)
--      normalized(source_idx, source_row, instruction, input, output, …)
-- out  source_idx, source_row, n_tokens
-- with $kind  VARCHAR    task | diverse
--
-- The three texts are counted each for itself, as they stand.
WITH firsts AS (
    SELECT source_idx, source_row
    FROM deduped
    WHERE kind = $kind AND first_source_idx = source_idx AND first_source_row = source_row
)
SELECT
    firsts.source_idx,
    firsts.source_row,
    token_count(instruction) + token_count(input) + token_count(output) AS n_tokens
FROM firsts
JOIN normalized ON normalized.source_idx = firsts.source_idx AND normalized.source_row = firsts.source_row
ORDER BY firsts.source_idx, firsts.source_row;
