-- How similar near-duplicates are to the rows that stay, in steps of 0.02.
--
-- in   copies(reason, similarity, …)
-- out  low, high, rows
--      from `low` up to, without, `high`; the last step is similarity 1 alone: texts with the same pieces
WITH steps AS (
    -- The nudge keeps 0.82 out of the step below it: 0.82 / 0.02 is a little less than 41.
    SELECT CAST(floor(similarity * 50 + 1e-9) AS BIGINT) AS step
    FROM copies
    WHERE reason = 'near_duplicate'
),
counted AS (
    SELECT step, count(*) AS rows
    FROM steps
    GROUP BY step
),
ends AS (
    SELECT min(step) AS first, max(step) AS last
    FROM counted
),
every AS (
    SELECT unnest(generate_series(first, last)) AS step
    FROM ends
)
SELECT
    round(every.step * 0.02, 2) AS low,
    round(least((every.step + 1) * 0.02, 1), 2) AS high,
    coalesce(rows, 0) AS rows
FROM every
LEFT JOIN counted ON counted.step = every.step
WHERE every.step IS NOT NULL
ORDER BY low;
