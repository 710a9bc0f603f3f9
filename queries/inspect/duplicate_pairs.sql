-- Which source repeats which: duplicates by where they come from and where the row is that stays.
--
-- in   copies(source, source_row, reason, kept_source, kept_row, similarity)
-- out  reason, source, kept_source, rows, kept_rows, least_similar, most_similar
--      `kept_rows` counts the rows that stay in the stead of `rows`
SELECT
    reason,
    source,
    kept_source,
    count(*) AS rows,
    count(DISTINCT kept_row) AS kept_rows,
    round(min(similarity), 3) AS least_similar,
    round(max(similarity), 3) AS most_similar
FROM copies
GROUP BY reason, source, kept_source
ORDER BY reason, rows DESC, source, kept_source;
