-- How many tokens each source has in the stream; runs only where a tokenizer is given.
--
-- in   ordered(source_idx, source_row, …)
--      tokens(source_idx, source_row, n_tokens)
-- out  source_idx, n_tokens
SELECT ordered.source_idx, CAST(sum(n_tokens) AS BIGINT) AS n_tokens
FROM ordered
JOIN tokens ON tokens.source_idx = ordered.source_idx AND tokens.source_row = ordered.source_row
GROUP BY ordered.source_idx
ORDER BY source_idx;
