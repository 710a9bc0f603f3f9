-- The stream in equal stretches, and what every source has in each: for a chart.
--
-- in   shards(position, kind, source, …), build(rows, …)
-- out  stretch, first_position, kind, source, rows
-- with $n_stretches  BIGINT    stretches; fewer where there are fewer rows
WITH placed AS (
    SELECT
        least(CAST($n_stretches AS BIGINT), CAST(rows AS BIGINT)) AS n_stretches,
        CAST(rows AS BIGINT) AS n_rows,
        CAST(position AS BIGINT) AS position,
        kind,
        source
    FROM shards
    CROSS JOIN build
)
SELECT
    position * n_stretches / n_rows AS stretch,
    min(position) AS first_position,
    kind,
    source,
    count(*) AS rows
FROM placed
GROUP BY position * n_stretches / n_rows, kind, source
ORDER BY stretch, kind DESC, source;
