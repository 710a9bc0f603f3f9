-- How often samples are used: rows that are the first use of their sample, the second, …
--
-- in   shards(kind, repeat, …)
-- out  kind, use, rows
SELECT kind, repeat + 1 AS use, count(*) AS rows
FROM shards
GROUP BY kind, repeat
ORDER BY kind DESC, use;
