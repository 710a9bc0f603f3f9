-- The rows of one kind that share words in a row with a row measured on.
--
-- in   suspects(source_idx, kind, source_row, instruction, input, output)
--      held_out_ngrams(ngram, source_idx, source_row)
-- out  source_idx, kind, source_row, held_out_source_idx, held_out_row, ngram
--      the first shared n-gram of a row, and the first row measured on that has it
-- with $kind    VARCHAR    task | diverse
--      $words   BIGINT     words of an n-gram
WITH samples AS (
    SELECT
        source_idx,
        source_row,
        array_concat(
            ngrams(instruction, CAST($words AS BIGINT)),
            ngrams(input, CAST($words AS BIGINT)),
            ngrams(output, CAST($words AS BIGINT))
        ) AS ngrams
    FROM suspects
    WHERE kind = CAST($kind AS VARCHAR)
),
candidates AS (
    SELECT
        source_idx,
        source_row,
        unnest(ngrams) AS ngram,
        unnest(generate_series(1, CAST(cardinality(ngrams) AS BIGINT))) AS place
    FROM samples
),
ranked AS (
    SELECT
        candidates.source_idx,
        candidates.source_row,
        held_out.source_idx AS held_out_source_idx,
        held_out.source_row AS held_out_row,
        candidates.ngram,
        row_number() OVER (
            PARTITION BY candidates.source_idx, candidates.source_row
            ORDER BY place, held_out.source_idx
        ) AS rank
    FROM held_out_ngrams AS held_out
    JOIN candidates ON candidates.ngram = held_out.ngram
)
SELECT source_idx, CAST($kind AS VARCHAR) AS kind, source_row, held_out_source_idx, held_out_row, ngram
FROM ranked
WHERE rank = 1
ORDER BY source_idx, source_row;
