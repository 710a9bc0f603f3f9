-- How many tokens each diverse source has to give; runs only where the ratio counts tokens.
--
-- in   pool(source_idx, source_row, held_out, …)
--      tokens(source_idx, source_row, n_tokens)
-- out  source_idx, n_tokens
SELECT pool.source_idx, CAST(sum(n_tokens) AS BIGINT) AS n_tokens
FROM pool
JOIN tokens ON tokens.source_idx = pool.source_idx AND tokens.source_row = pool.source_row
WHERE NOT held_out
GROUP BY pool.source_idx
ORDER BY source_idx;
