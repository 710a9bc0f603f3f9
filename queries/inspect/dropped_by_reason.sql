-- How many rows of each source were dropped, and why.
--
-- in   dropped(source, reason, …)
-- out  source, reason, rows
SELECT source, reason, CAST(count(*) AS BIGINT UNSIGNED) AS rows
FROM dropped
GROUP BY source, reason
ORDER BY source, reason;
