-- How many tokens the samples of one kind have; runs only where a tokenizer is given.
--
-- in   firsts(source_idx, kind, source_row, instruction, input, output, …)
-- out  source_idx, source_row, n_tokens
-- with $kind  VARCHAR    task | diverse
--
-- The three texts are counted each for itself, as they stand.
SELECT
    source_idx,
    source_row,
    token_count(instruction) + token_count(input) + token_count(output) AS n_tokens
FROM firsts
WHERE kind = $kind
ORDER BY source_idx, source_row;
