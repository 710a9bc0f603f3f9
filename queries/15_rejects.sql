-- How many records of every source are unusable, and why.
--
-- in   normalized(source_idx, reason, …)
--      sources(source_idx, name, …)
-- out  source, rows_in, reason, rows
--      for every source that was read, also for one without unusable records: then `reason` is null
WITH records AS (
    SELECT source_idx, count(*) AS rows_in
    FROM normalized
    GROUP BY source_idx
),
rejects AS (
    SELECT source_idx, reason, count(*) AS rows
    FROM normalized
    WHERE reason IS NOT NULL
    GROUP BY source_idx, reason
)
SELECT
    sources.name AS source,
    CAST(rows_in AS BIGINT UNSIGNED) AS rows_in,
    reason,
    CAST(coalesce(rows, 0) AS BIGINT UNSIGNED) AS rows
FROM records
JOIN sources ON sources.source_idx = records.source_idx
LEFT JOIN rejects ON rejects.source_idx = records.source_idx
ORDER BY records.source_idx, reason;
