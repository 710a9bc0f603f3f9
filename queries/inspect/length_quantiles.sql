-- Lengths of the texts that are there, by kind, and by source where a kind has several.
--
-- in   lengths(kind, source, text, unit, length, rows)
-- out  kind, source, text, unit, rows, empty, shortest, q05, q25, median, q75, q95, q99, longest, mean
--      `source` is null over all sources of a kind; `empty` texts count in no other column; each quantile is the length of
--      a text: at least so large a share of the texts is no longer
WITH several AS (
    SELECT kind
    FROM lengths
    GROUP BY kind
    HAVING count(DISTINCT source) > 1
),
counts AS (
    SELECT kind, CAST(NULL AS VARCHAR) AS source, text, unit, length, sum(rows) AS rows
    FROM lengths
    GROUP BY kind, text, unit, length
    UNION ALL
    SELECT lengths.kind, source, text, unit, length, rows
    FROM lengths
    JOIN several ON several.kind = lengths.kind
),
running AS (
    SELECT
        *,
        sum(rows) OVER (PARTITION BY kind, source, text, unit, length > 0 ORDER BY length) AS until,
        sum(rows) OVER (PARTITION BY kind, source, text, unit, length > 0) AS n_rows
    FROM counts
)
SELECT
    kind,
    source,
    text,
    unit,
    coalesce(sum(rows) FILTER (WHERE length > 0), 0) AS rows,
    coalesce(sum(rows) FILTER (WHERE length = 0), 0) AS empty,
    min(length) FILTER (WHERE length > 0) AS shortest,
    min(length) FILTER (WHERE length > 0 AND until * 100 >= 5 * n_rows) AS q05,
    min(length) FILTER (WHERE length > 0 AND until * 100 >= 25 * n_rows) AS q25,
    min(length) FILTER (WHERE length > 0 AND until * 100 >= 50 * n_rows) AS median,
    min(length) FILTER (WHERE length > 0 AND until * 100 >= 75 * n_rows) AS q75,
    min(length) FILTER (WHERE length > 0 AND until * 100 >= 95 * n_rows) AS q95,
    min(length) FILTER (WHERE length > 0 AND until * 100 >= 99 * n_rows) AS q99,
    max(length) FILTER (WHERE length > 0) AS longest,
    round(CAST(sum(rows * length) AS DOUBLE) / nullif(sum(rows) FILTER (WHERE length > 0), 0), 1) AS mean
FROM running
GROUP BY kind, source, text, unit
ORDER BY kind DESC, source NULLS FIRST, strpos('instruction input output', text), unit;
