-- The words in a row that the rows measured on have, without the wording of the task itself.
--
-- in   normalized(source_idx, kind, source_row, instruction, input, output, reason, …)
-- out  ngram, source_idx, source_row      the first row of a held-out or eval source that has it
-- with $words  BIGINT    words of an n-gram
--
-- What stands in more than half of the rows of a source, and in two or more, is how the task is worded, not what is
-- measured. An n-gram does not reach from one text of a sample into the next: it would join the wording of the task to the
-- first words of many samples. A text of fewer words has none.
WITH measured AS (
    SELECT source_idx, source_row, instruction, input, output
    FROM normalized
    WHERE kind IN ('held_out', 'eval') AND reason IS NULL
),
sizes AS (
    SELECT source_idx, count(*) AS n_rows
    FROM measured
    GROUP BY source_idx
),
standing AS (
    SELECT
        source_idx,
        source_row,
        unnest(
            array_distinct(
                array_concat(
                    ngrams(instruction, CAST($words AS BIGINT)),
                    ngrams(input, CAST($words AS BIGINT)),
                    ngrams(output, CAST($words AS BIGINT))
                )
            )
        ) AS ngram
    FROM measured
),
counted AS (
    SELECT source_idx, ngram, min(source_row) AS source_row, count(*) AS n_having
    FROM standing
    GROUP BY source_idx, ngram
)
SELECT ngram, counted.source_idx, source_row
FROM counted
JOIN sizes ON sizes.source_idx = counted.source_idx
WHERE n_having = 1 OR 2 * n_having <= n_rows
ORDER BY ngram, source_idx;
