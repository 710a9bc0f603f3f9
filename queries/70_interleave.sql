-- The order of the stream.
--
-- in   deduped(source_idx, kind, source_row, sample_id, first_source_idx, first_source_row)
--      drawn(source_idx, source_row, sample_id, pass, round, draw)
--      strata(pass, source_idx, n_last, first_dealt, n_batches)    how a stratified order is dealt; without rows otherwise
-- out  position, kind, source_idx, source_row, task_row, repeat
--      `position` is 0, 1, 2, … without a gap
-- with $order    VARCHAR            shuffled | strict | staged | stratified
--      $ratio    VARCHAR            in strict order: diverse samples per task sample over all iterations, a decimal number
--      $passes   BIGINT             how often the task samples stand in the stream, each time with draws of their own
--      $n_again  BIGINT             in staged order: task samples that the second stage of a pass holds again
--      $seed     BIGINT UNSIGNED    changes every order but the strict one
--
-- shuffled    by a hash keyed with the seed, which is a uniform permutation.
-- strict      Algorithm 1 of the paper: after the first i task rows round(ratio · i) draws have been made. Draw n, counted
--             from 0, therefore follows the first task row for which that count exceeds n.
-- staged      all task samples; then the draws, with some task samples again; each stage shuffled.
-- stratified  the samples of a source after those of the one before are dealt to the batches like cards, after each source
--             has given its rows of the last, shorter batch. A source's share of a batch is thus rounded up or down. Batches
--             dealt one after the other are spread over the stream, so the rows of a rare source are too.
WITH passes AS (
    SELECT unnest(generate_series(0, CAST($passes AS BIGINT) - 1)) AS pass
),
firsts AS (
    SELECT
        source_idx,
        source_row,
        sample_id,
        CAST(row_number() OVER (ORDER BY source_idx, source_row) AS BIGINT) - 1 AS task_row
    FROM deduped
    WHERE kind = 'task' AND first_source_idx = source_idx AND first_source_row = source_row
),
tasks AS (
    SELECT
        pass,
        source_idx,
        source_row,
        sample_id,
        task_row,
        row_number() OVER (
            PARTITION BY pass
            ORDER BY seeded_hash(sample_id, 'again', pass, CAST($seed AS BIGINT UNSIGNED)), sample_id
        ) AS nth_again
    FROM firsts
    CROSS JOIN passes
),
draws AS (
    SELECT *, task_of_draw(CAST($ratio AS VARCHAR), draw) AS task_row
    FROM drawn
),
slots AS (
    SELECT
        pass,
        0 AS stage,
        'task' AS kind,
        source_idx,
        source_row,
        sample_id,
        pass AS occurrence,
        task_row,
        task_row + draws_until(CAST($ratio AS VARCHAR), task_row) AS strict_position
    FROM tasks
    UNION ALL
    SELECT
        pass,
        CASE WHEN $order = 'staged' THEN 1 ELSE 0 END AS stage,
        'diverse' AS kind,
        source_idx,
        source_row,
        sample_id,
        round AS occurrence,
        task_row,
        draw + task_row + 1 AS strict_position
    FROM draws
    UNION ALL
    SELECT
        pass,
        1 AS stage,
        'task' AS kind,
        source_idx,
        source_row,
        sample_id,
        pass AS occurrence,
        task_row,
        CAST(0 AS BIGINT) AS strict_position
    FROM tasks
    WHERE nth_again <= CAST($n_again AS BIGINT)
),
dealing AS (
    SELECT pass, source_idx, n_last, first_dealt, n_batches
    FROM strata
    WHERE $order = 'stratified'
),
dealt AS (
    SELECT
        slots.*,
        n_last,
        first_dealt,
        n_batches,
        CAST(row_number() OVER (
            PARTITION BY slots.pass, slots.source_idx
            ORDER BY seeded_hash(sample_id, 'deal', occurrence, CAST($seed AS BIGINT UNSIGNED)), sample_id, occurrence
        ) AS BIGINT) - 1 AS nth
    FROM dealing
    RIGHT JOIN slots ON slots.pass = dealing.pass AND slots.source_idx = dealing.source_idx
),
keyed AS (
    SELECT
        *,
        CASE WHEN $order = 'strict' THEN strict_position ELSE 0 END AS strict_key,
        CASE WHEN $order = 'stratified' AND nth < n_last THEN 1 ELSE 0 END AS is_last,
        CASE
            WHEN $order = 'stratified' AND nth >= n_last
                THEN spread((first_dealt + nth - n_last) % n_batches, CAST($seed AS BIGINT UNSIGNED))
        END AS batch
    FROM dealt
),
placed AS (
    SELECT
        *,
        CAST(row_number() OVER (
            ORDER BY
                pass,
                stage,
                strict_key,
                is_last,
                batch,
                seeded_hash(sample_id, 'shuffle', occurrence, CAST($seed AS BIGINT UNSIGNED)),
                sample_id,
                occurrence
        ) AS BIGINT) - 1 AS position
    FROM keyed
)
SELECT
    position,
    kind,
    source_idx,
    source_row,
    CASE WHEN kind = 'task' OR $order = 'strict' THEN task_row END AS task_row,
    -- Numbered within its equals: a window with a partition for every sample would cost several times as much.
    CAST(
        row_number() OVER (
            ORDER BY sample_id, position
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - rank() OVER (
            ORDER BY sample_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS BIGINT
    ) AS repeat
FROM placed
ORDER BY position;
