-- How even the stream is: what every source has in blocks of 64, 1,024 and 16,384 rows.
--
-- in   shards(position, kind, source, …), build(rows, …)
-- out  block_rows, blocks, kind, source, expected, least, most, deviation, by_chance
--      `expected` is the source's share of the stream in a block; `deviation` is the root mean square of rows more or less
--      than that, beside which `by_chance` is what a shuffled stream has
--      blocks that the stream does not fill are left out
WITH sizes AS (
    SELECT block_rows, CAST(rows AS BIGINT) / block_rows AS n_blocks, CAST(rows AS BIGINT) AS n_rows
    FROM (VALUES (64), (1024), (16384)) AS sizes (block_rows)
    CROSS JOIN build
    WHERE CAST(rows AS BIGINT) >= 2 * block_rows
),
totals AS (
    SELECT kind, source, count(*) AS n_source
    FROM shards
    GROUP BY kind, source
),
placed AS (
    SELECT block_rows, n_blocks, n_rows, CAST(position AS BIGINT) / block_rows AS block, kind, source
    FROM shards
    CROSS JOIN sizes
),
counted AS (
    SELECT block_rows, n_blocks, n_rows, block, kind, source, count(*) AS rows
    FROM placed
    WHERE block < n_blocks
    GROUP BY block_rows, n_blocks, n_rows, block, kind, source
),
measured AS (
    SELECT
        block_rows,
        n_blocks,
        counted.kind,
        counted.source,
        CAST(n_source AS DOUBLE) / n_rows AS share,
        CAST(n_source AS DOUBLE) / n_rows * block_rows AS expected,
        count(*) AS n_with,
        min(rows) AS least,
        max(rows) AS most,
        sum(rows) AS sum_rows,
        sum(rows * rows) AS sum_squares
    FROM counted
    JOIN totals ON totals.kind = counted.kind AND totals.source = counted.source
    GROUP BY block_rows, n_blocks, n_rows, counted.kind, counted.source, n_source
)
SELECT
    block_rows,
    n_blocks AS blocks,
    kind,
    source,
    round(expected, 2) AS expected,
    CASE WHEN n_with < n_blocks THEN 0 ELSE least END AS least,
    most,
    -- Σ(x - e)² = Σx² - 2eΣx + ne², over blocks without a row of the source too.
    round(sqrt(greatest(
        (sum_squares - 2 * expected * sum_rows + n_blocks * expected * expected) / n_blocks, 0
    )), 2) AS deviation,
    round(sqrt(expected * (1 - share)), 2) AS by_chance
FROM measured
ORDER BY block_rows, kind DESC, expected DESC, source;
