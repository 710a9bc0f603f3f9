-- The order of the stream.
--
-- in   tasks(source_idx, text_row, sample_id, …)
--      drawn(source_idx, source_row, sample_id, pass, round, draw)
--      strata(pass, source_idx, n_last, first_dealt, n_batches)    how a stratified order is dealt; without rows otherwise
-- out  position, source_idx, text_row, task_row
--      `position` is 0, 1, 2, … without a gap; `text_row` names the text among those of its source
-- with $order    VARCHAR            shuffled | strict | staged | stratified
--      $ratio    VARCHAR            in strict order: diverse samples per task sample over all iterations, a decimal number
--      $passes   BIGINT             how often the task samples stand in the stream, each time with draws of their own
--      $n_again  BIGINT             in staged order: task samples that the second stage of a pass holds again
--      $leave_out_task  BOOLEAN     whether the draws stand in the stream alone, in the order that they have among task samples
--      $seed     BIGINT UNSIGNED    changes every order but the strict one
--
-- shuffled    by a hash keyed with the seed, which is a uniform permutation. One number is sorted faster than several, so
--             the key holds the pass and the stage too.
-- strict      Algorithm 1 of the paper: after the first i task rows round(ratio · i) draws have been made. Draw n, counted
--             from 0, therefore follows the first task row for which that count exceeds n.
-- staged      all task samples; then the draws, with some task samples again; each stage shuffled.
-- stratified  the samples of a source after those of the one before are dealt to the batches like cards, after each source
--             has given its rows of the last, shorter batch. A source's share of a batch is thus rounded up or down. Batches
--             dealt one after the other are spread over the stream, so the rows of a rare source are too.
WITH passes AS (
    SELECT unnest(generate_series(0, CAST($passes AS BIGINT) - 1)) AS pass
),
numbered AS (
    SELECT
        source_idx,
        text_row,
        sample_id,
        CAST(row_number() OVER (ORDER BY source_idx, text_row) AS BIGINT) - 1 AS task_row
    FROM tasks
),
passed AS (
    SELECT
        pass,
        source_idx,
        text_row,
        sample_id,
        task_row,
        row_number() OVER (
            PARTITION BY pass
            ORDER BY seeded_hash(sample_id, 'again', pass, CAST($seed AS BIGINT UNSIGNED)), sample_id
        ) AS nth_again
    FROM numbered
    CROSS JOIN passes
),
draws AS (
    SELECT
        drawn.*,
        source_row AS text_row,
        CASE WHEN $order = 'strict' THEN task_of_draw(CAST($ratio AS VARCHAR), draw) END AS task_row
    FROM drawn
),
slots AS (
    SELECT
        pass,
        0 AS stage,
        source_idx,
        text_row,
        sample_id,
        pass AS occurrence,
        task_row,
        task_row + draws_until(CAST($ratio AS VARCHAR), task_row) AS strict_position
    FROM passed
    WHERE NOT CAST($leave_out_task AS BOOLEAN)
    UNION ALL
    SELECT
        pass,
        CASE WHEN $order = 'staged' THEN 1 ELSE 0 END AS stage,
        source_idx,
        text_row,
        sample_id,
        round AS occurrence,
        CASE WHEN CAST($leave_out_task AS BOOLEAN) THEN NULL ELSE task_row END AS task_row,
        draw + task_row + 1 AS strict_position
    FROM draws
    UNION ALL
    SELECT
        pass,
        1 AS stage,
        source_idx,
        text_row,
        sample_id,
        pass AS occurrence,
        task_row,
        CAST(0 AS BIGINT) AS strict_position
    FROM passed
    WHERE nth_again <= CAST($n_again AS BIGINT)
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
    FROM strata
    JOIN slots ON slots.pass = strata.pass AND slots.source_idx = strata.source_idx
    WHERE $order = 'stratified'
),
batched AS (
    SELECT
        *,
        CASE WHEN nth < n_last THEN 1 ELSE 0 END AS is_last,
        CASE
            WHEN nth >= n_last THEN spread((first_dealt + nth - n_last) % n_batches, CAST($seed AS BIGINT UNSIGNED))
        END AS batch
    FROM dealt
),
placed AS (
    SELECT
        source_idx,
        text_row,
        task_row,
        row_number() OVER (
            ORDER BY shuffle_key(2 * pass + stage, sample_id, occurrence, CAST($seed AS BIGINT UNSIGNED))
        ) AS place
    FROM slots
    WHERE $order IN ('shuffled', 'staged')
    UNION ALL
    SELECT
        source_idx,
        text_row,
        task_row,
        row_number() OVER (ORDER BY pass, strict_position) AS place
    FROM slots
    WHERE $order = 'strict'
    UNION ALL
    SELECT
        source_idx,
        text_row,
        task_row,
        row_number() OVER (
            ORDER BY
                pass,
                is_last,
                batch,
                seeded_hash(sample_id, 'shuffle', occurrence, CAST($seed AS BIGINT UNSIGNED)),
                sample_id
        ) AS place
    FROM batched
)
SELECT CAST(place AS BIGINT) - 1 AS position, source_idx, text_row, task_row
FROM placed
ORDER BY place;
