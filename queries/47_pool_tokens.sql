-- How many tokens each diverse source has to give; runs only where the ratio counts tokens.
--
-- in   pool(source_idx, source_row, …)
--      tokens(source_idx, text_row, n_tokens)
-- out  source_idx, n_tokens
SELECT pool.source_idx, CAST(sum(n_tokens) AS BIGINT) AS n_tokens
FROM tokens
JOIN pool ON pool.source_idx = tokens.source_idx AND pool.source_row = tokens.text_row
GROUP BY pool.source_idx
ORDER BY source_idx;
