-- The rows that go as near-duplicates, by their places in the sources.
--
-- in   gone(nth, kept, similarity)    the row, and the row that stays in its stead
--      shingled(nth, source_idx, source_row, …)
-- out  source_idx, source_row, kept_source_idx, kept_row, similarity
SELECT
    later.source_idx,
    later.source_row,
    keeper.source_idx AS kept_source_idx,
    keeper.source_row AS kept_row,
    similarity
FROM gone
JOIN shingled AS later ON later.nth = gone.nth
JOIN shingled AS keeper ON keeper.nth = gone.kept
ORDER BY later.source_idx, later.source_row;
