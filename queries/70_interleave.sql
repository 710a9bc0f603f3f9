-- The order of the stream.
--
-- in   deduped(source_idx, kind, source_row, sample_id, first_source_idx, first_source_row)
--      drawn(source_idx, source_row, sample_id, pass, draw)
-- out  position, kind, source_idx, source_row, task_row, repeat
--      `position` is 0, 1, 2, … without a gap
-- with $order  VARCHAR            shuffled | strict
--      $ratio  VARCHAR            diverse samples per task sample over all iterations, a decimal number
--      $seed   BIGINT UNSIGNED    changes the shuffled order
--
-- strict    Algorithm 1 of the paper: after the first i task rows round(ratio · i) draws have been made. Draw n, counted
--           from 0, therefore follows the first task row for which that count exceeds n.
-- shuffled  by a hash keyed with the seed, which is a uniform permutation.
WITH tasks AS (
    SELECT
        source_idx,
        source_row,
        sample_id,
        CAST(row_number() OVER (ORDER BY source_idx, source_row) AS BIGINT) - 1 AS task_row
    FROM deduped
    WHERE kind = 'task' AND first_source_idx = source_idx AND first_source_row = source_row
),
draws AS (
    SELECT *, task_of_draw(CAST($ratio AS VARCHAR), draw) AS task_row
    FROM drawn
),
slots AS (
    SELECT
        'task' AS kind,
        source_idx,
        source_row,
        sample_id,
        CAST(0 AS BIGINT) AS pass,
        task_row,
        task_row + draws_until(CAST($ratio AS VARCHAR), task_row) AS strict_position
    FROM tasks
    UNION ALL
    SELECT 'diverse' AS kind, source_idx, source_row, sample_id, pass, task_row, draw + task_row + 1 AS strict_position
    FROM draws
),
placed AS (
    SELECT
        *,
        CAST(row_number() OVER (
            ORDER BY
                CASE WHEN $order = 'strict' THEN strict_position ELSE 0 END,
                seeded_hash(sample_id, 'shuffle', pass, CAST($seed AS BIGINT UNSIGNED)),
                sample_id,
                pass
        ) AS BIGINT) - 1 AS position
    FROM slots
)
SELECT
    position,
    kind,
    source_idx,
    source_row,
    CASE WHEN kind = 'task' OR $order = 'strict' THEN task_row END AS task_row,
    CAST(row_number() OVER (PARTITION BY sample_id ORDER BY position) AS BIGINT) - 1 AS repeat
FROM placed
ORDER BY position;
