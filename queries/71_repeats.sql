-- Where a sample stands again, and how often it stood before.
--
-- in   ordered(position, source_idx, text_row, …)
--      tasks(source_idx, text_row, …)
--      drawn(source_idx, source_row, round, …)
-- out  position, source_idx, repeat
--      `repeat` is 1, 2, 3, …; a position whose sample stands there first has no row
--
-- Only samples that may stand in the stream twice are put in order: those of the task, and what is drawn when its pool has
-- been used up before.
WITH again AS (
    SELECT source_idx, text_row
    FROM tasks
    UNION ALL
    SELECT source_idx, source_row AS text_row
    FROM drawn
    WHERE round = 1
),
standing AS (
    SELECT position, ordered.source_idx, ordered.text_row
    FROM again
    JOIN ordered ON ordered.source_idx = again.source_idx AND ordered.text_row = again.text_row
),
numbered AS (
    SELECT
        position,
        source_idx,
        -- Within its equals: a window with a partition for every sample would cost several times as much.
        CAST(
            row_number() OVER (
                ORDER BY source_idx, text_row, position
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) - rank() OVER (
                ORDER BY source_idx, text_row
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS BIGINT
        ) AS repeat
    FROM standing
)
SELECT position, source_idx, repeat
FROM numbered
WHERE repeat > 0
ORDER BY position;
