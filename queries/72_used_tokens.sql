-- How many tokens each source has in the stream; runs only where a tokenizer is given.
--
-- in   ordered(source_idx, text_row, …)
--      tokens(source_idx, text_row, n_tokens)
-- out  source_idx, n_tokens
SELECT ordered.source_idx, CAST(sum(n_tokens) AS BIGINT) AS n_tokens
FROM ordered
JOIN tokens ON tokens.source_idx = ordered.source_idx AND tokens.text_row = ordered.text_row
GROUP BY ordered.source_idx
ORDER BY source_idx;
