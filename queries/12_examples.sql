-- Pairs of the rarest kinds, for requests to a language model to show; runs only where a source is sampled from one.
--
-- in   normalized(source_idx, source_row, sample_id, instruction, input, output, reason, …)      the other diverse sources
-- out  instruction, input, output      one of every kind, those of the rarest first
-- with $seed  BIGINT UNSIGNED    changes which words name the kinds, and which pair of a kind is taken
--      $most  BIGINT             pairs to return, at the most
--
-- A kind is a cluster of prompts, as in 48_clusters.
WITH clustered AS (
    SELECT
        sample_id,
        instruction,
        input,
        output,
        word_cluster(concat(instruction, chr(10), input), CAST($seed AS BIGINT UNSIGNED)) AS cluster
    FROM normalized
    WHERE reason IS NULL
),
ranked AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY cluster) AS n_alike,
        row_number() OVER (
            PARTITION BY cluster
            ORDER BY seeded_hash(sample_id, 'example', 0, CAST($seed AS BIGINT UNSIGNED)), sample_id
        ) AS rank
    FROM clustered
),
placed AS (
    SELECT instruction, input, output, row_number() OVER (ORDER BY n_alike, cluster) AS place
    FROM ranked
    WHERE rank = 1
)
SELECT instruction, input, output
FROM placed
WHERE place <= $most
ORDER BY place;
