-- The mix: what every source was asked for, and what it gave.
--
-- in   shards(kind, source, repeat, …), sources(source, kind, kept, requested_rows, …), build(passes, …)
-- out  kind, source, requested, rows, difference, share_requested, share, samples, repeats, times_used
--      shares are of all rows of the kind; a diverse source is asked for what its weight asks for, were there neither caps
--      nor ends of pools (null where the ratio counts tokens), a task source for all of its rows in every pass
WITH given AS (
    SELECT
        kind,
        source,
        count(*) AS rows,
        count(*) FILTER (WHERE repeat = 0) AS samples,
        count(*) FILTER (WHERE repeat > 0) AS repeats
    FROM shards
    GROUP BY kind, source
),
asked AS (
    SELECT
        sources.kind,
        sources.source,
        CASE WHEN sources.kind = 'task' THEN kept * passes ELSE sources.requested_rows END AS requested
    FROM sources
    CROSS JOIN build
    WHERE sources.kind IN ('task', 'diverse')
),
both AS (
    SELECT
        asked.kind,
        asked.source,
        requested,
        coalesce(rows, 0) AS rows,
        coalesce(samples, 0) AS samples,
        coalesce(repeats, 0) AS repeats
    FROM asked
    LEFT JOIN given ON given.kind = asked.kind AND given.source = asked.source
)
SELECT
    kind,
    source,
    requested,
    rows,
    CAST(rows AS BIGINT) - CAST(requested AS BIGINT) AS difference,
    round(CAST(requested AS DOUBLE) / nullif(sum(requested) OVER (PARTITION BY kind), 0), 4) AS share_requested,
    round(CAST(rows AS DOUBLE) / nullif(sum(rows) OVER (PARTITION BY kind), 0), 4) AS share,
    samples,
    repeats,
    round(CAST(rows AS DOUBLE) / nullif(samples, 0), 2) AS times_used
FROM both
ORDER BY kind DESC, rows DESC, source;
