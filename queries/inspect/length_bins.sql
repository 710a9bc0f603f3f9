-- Lengths in equal steps up to the 99th percentile, for a chart; what is longer stands in one last bin. Empty texts are left out.
--
-- in   lengths(kind, source, text, unit, length, rows)
-- out  kind, text, low, high, rows, longest
--      from `low` up to, without, `high`, which is null for the last bin; bins without a text are left out
-- with $unit    VARCHAR    characters | words
--      $n_bins  BIGINT     at most so many steps
WITH counts AS (
    SELECT kind, text, length, sum(rows) AS rows
    FROM lengths
    WHERE unit = $unit AND length > 0
    GROUP BY kind, text, length
),
running AS (
    SELECT
        *,
        sum(rows) OVER (PARTITION BY kind, text ORDER BY length) AS until,
        sum(rows) OVER (PARTITION BY kind, text) AS n_rows
    FROM counts
),
percentiles AS (
    SELECT kind, text, min(length) FILTER (WHERE until * 100 >= 99 * n_rows) AS q99, max(length) AS longest
    FROM running
    GROUP BY kind, text
),
-- A width is a power of two: bins begin at numbers one can read.
widths AS (
    SELECT kind, text, q99, longest, min(CAST(power(2, value) AS BIGINT)) AS width
    FROM percentiles
    JOIN generate_series(0, 40) AS exponents ON q99 < power(2, value) * CAST($n_bins AS BIGINT)
    GROUP BY kind, text, q99, longest
),
binned AS (
    SELECT
        counts.kind,
        counts.text,
        width,
        longest,
        q99 / width AS last,
        least(length / width, q99 / width + 1) AS nth,
        rows
    FROM counts
    JOIN widths ON widths.kind = counts.kind AND widths.text = counts.text
)
SELECT
    kind,
    text,
    nth * width AS low,
    CASE WHEN nth <= last THEN (nth + 1) * width END AS high,
    sum(rows) AS rows,
    longest
FROM binned
GROUP BY kind, text, nth, width, last, longest
ORDER BY kind DESC, strpos('instruction input output', text), low;
