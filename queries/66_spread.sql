-- How far the wordings of the task lie apart, beside the originals.
--
-- in   tasks(source_idx, text_row, source_row, sample_id, direction, instruction, …)
--      firsts(source_idx, kind, source_row, sample_id, instruction, …)
-- out  wording                       original | stream
--      rows, instructions            task rows, and different instructions among them
--      distinct_1, distinct_2        different runs of 1 and 2 words of the instructions for each run there is (Li et al. 2016)
--      mean_distance, pairs          1 − Jaccard similarity of two instructions' words, and how many pairs were compared
-- with $n_compared  BIGINT             rows to compare, each with the next in a seeded order
--      $seed        BIGINT UNSIGNED    changes which rows are compared
WITH instructions AS (
    SELECT 'original' AS wording, source_idx, source_row AS text_row, sample_id, instruction
    FROM firsts
    WHERE kind = 'task'
    UNION ALL
    SELECT 'stream' AS wording, source_idx, text_row, sample_id, instruction
    FROM tasks
),
runs AS (
    SELECT
        wording,
        count(*) AS n_rows,
        -- Hashes stand for the texts, which need not all be held.
        count(DISTINCT sample_id(instruction, '', '')) AS n_instructions,
        distinct_ngrams(word_hashes(instruction), CAST(1 AS BIGINT)) AS distinct_1,
        distinct_ngrams(word_hashes(instruction), CAST(2 AS BIGINT)) AS distinct_2
    FROM instructions
    GROUP BY wording
),
ranked AS (
    SELECT
        wording,
        source_idx,
        text_row,
        row_number() OVER (
            PARTITION BY wording
            ORDER BY
                seeded_hash(sample_id, 'compare', CAST(0 AS BIGINT), CAST($seed AS BIGINT UNSIGNED)),
                source_idx,
                text_row
        ) AS nth
    FROM instructions
),
chosen AS (
    SELECT *
    FROM ranked
    WHERE nth <= CAST($n_compared AS BIGINT)
),
sets AS (
    SELECT chosen.wording, nth, shingles(instruction, 'word:1') AS words
    FROM chosen
    JOIN instructions
        ON instructions.wording = chosen.wording
        AND instructions.source_idx = chosen.source_idx
        AND instructions.text_row = chosen.text_row
),
neighbours AS (
    SELECT wording, words, lead(words) OVER (PARTITION BY wording ORDER BY nth) AS next_words
    FROM sets
),
-- Whole millionths, so that the mean does not depend on the order in which they are added.
distances AS (
    SELECT wording, count(*) AS n_pairs, sum(CAST(1000000 * (1 - jaccard(words, next_words)) AS BIGINT)) AS millionths
    FROM neighbours
    WHERE next_words IS NOT NULL
    GROUP BY wording
)
SELECT
    runs.wording,
    CAST(n_rows AS BIGINT UNSIGNED) AS rows,
    CAST(n_instructions AS BIGINT UNSIGNED) AS instructions,
    round(distinct_1, 4) AS distinct_1,
    round(distinct_2, 4) AS distinct_2,
    round(millionths / CAST(1000000 * n_pairs AS DOUBLE), 4) AS mean_distance,
    CAST(coalesce(n_pairs, 0) AS BIGINT UNSIGNED) AS pairs
FROM runs
LEFT JOIN distances ON distances.wording = runs.wording
ORDER BY runs.wording;
