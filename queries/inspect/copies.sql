-- Every duplicate with the row that stands in its stead at the end.
--
-- in   dropped(source, source_row, reason, kept_source, kept_row, similarity, …)
-- out  source, source_row, reason, kept_source, kept_row, similarity
--
-- An exact duplicate names the first of its equals; where that one went as a near-duplicate itself, the row it made way for
-- stands for both. A near-duplicate names a row that stays, so one step is enough.
WITH copies AS (
    SELECT source, source_row, reason, kept_source, kept_row, similarity
    FROM dropped
    WHERE reason IN ('exact_duplicate', 'near_duplicate')
)
SELECT
    copies.source,
    copies.source_row,
    copies.reason,
    coalesce(onward.kept_source, copies.kept_source) AS kept_source,
    coalesce(onward.kept_row, copies.kept_row) AS kept_row,
    coalesce(onward.similarity, copies.similarity) AS similarity
FROM copies
LEFT JOIN copies AS onward ON onward.source = copies.kept_source
    AND onward.source_row = copies.kept_row
    AND onward.reason = 'near_duplicate'
    AND copies.reason = 'exact_duplicate'
ORDER BY copies.source, copies.source_row;
