-- The tokens of the draws, in the order in which each source gives them; runs only where the ratio counts tokens.
--
-- in   ranked(source_idx, source_row, nth, …)
--      tokens(source_idx, text_row, n_tokens)
-- out  source_idx, nth, n_tokens
--
-- How many draws come nearest to the tokens due is decided after this query, in one pass over its rows.
SELECT ranked.source_idx, nth, n_tokens
FROM ranked
JOIN tokens ON tokens.source_idx = ranked.source_idx AND tokens.text_row = ranked.source_row
ORDER BY ranked.source_idx, nth;
