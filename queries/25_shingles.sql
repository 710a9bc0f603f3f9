-- The rows that are compared with each other, each as the set of its text's pieces.
--
-- in   deduped(source_idx, kind, source_row, first_source_idx, first_source_row, …)
--      normalized(source_idx, source_row, instruction, input, output, …)
-- out  nth, source_idx, kind, source_row, same_as, shingles
--      `nth` numbers the rows 0, 1, 2, … in the order of the sources as given; `same_as` is the first row with the same set
-- with $on       VARCHAR    prompt | sample    the texts that are compared
--      $shingle  VARCHAR    word:N | char:N    the pieces they are cut into
WITH texts AS (
    SELECT
        deduped.source_idx,
        deduped.kind,
        deduped.source_row,
        shingles(
            CASE
                WHEN CAST($on AS VARCHAR) = 'sample' THEN concat(instruction, chr(10), input, chr(10), output)
                ELSE concat(instruction, chr(10), input)
            END,
            CAST($shingle AS VARCHAR)
        ) AS shingles
    FROM deduped
    JOIN normalized ON normalized.source_idx = deduped.source_idx AND normalized.source_row = deduped.source_row
    WHERE first_source_idx = deduped.source_idx AND first_source_row = deduped.source_row
),
numbered AS (
    SELECT
        CAST(row_number() OVER (ORDER BY source_idx, source_row) AS BIGINT) - 1 AS nth,
        source_idx,
        kind,
        source_row,
        set_id(shingles) AS set_id,
        shingles
    FROM texts
)
SELECT
    nth,
    source_idx,
    kind,
    source_row,
    first_value(nth) OVER (PARTITION BY set_id ORDER BY nth) AS same_as,
    shingles
FROM numbered
ORDER BY nth;
