-- The rows that go as near-duplicates by ROUGE-L.
--
-- in   rouge_l_gone(source_idx, source_row, kept_source_idx, kept_row, similarity)
--      the row, and the most similar of the earlier rows that stay: found in one pass over 31_rouge_l_texts
-- out  source_idx, source_row, kept_source_idx, kept_row, similarity
--
-- The pass is not SQL: whether a row goes depends on which earlier rows stay, and their words are compared in order.
SELECT source_idx, source_row, kept_source_idx, kept_row, similarity
FROM rouge_l_gone
ORDER BY source_idx, source_row;
