-- Samples of either kind at random, the same on every run.
--
-- in   shards(position, kind, source, source_row, sample_id, repeat, instruction, input, output, …)
-- out  kind, source, source_row, position, instruction, input, output
-- with $n_samples  BIGINT             of each kind
--      $seed       BIGINT UNSIGNED    chooses others
WITH ranked AS (
    SELECT
        position,
        row_number() OVER (
            PARTITION BY kind
            ORDER BY seeded_hash(sample_id, 'inspect', CAST(0 AS BIGINT), CAST($seed AS BIGINT UNSIGNED)), position
        ) AS nth
    FROM shards
    WHERE repeat = 0
),
chosen AS (
    SELECT position, nth
    FROM ranked
    WHERE nth <= CAST($n_samples AS BIGINT)
)
SELECT kind, source, source_row, shards.position, instruction, input, output
FROM shards
JOIN chosen ON chosen.position = shards.position
ORDER BY kind DESC, nth;
