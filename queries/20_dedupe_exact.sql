-- The rows that are equal to an earlier one: in the order of the sources as given, task sources before diverse ones, then by
-- row.
--
-- in   usable(source_idx, source_row, sample_id, …)
-- out  source_idx, source_row, first_source_idx, first_source_row
--      `first_…` name the first of the rows equal to it, which stays
--
-- Samples are equal when their three texts are, byte for byte; `sample_id` is a 128-bit cryptographic hash of them, so this
-- query never touches text. Most samples have no copies, which half of the hash is enough to see: only the others are
-- brought into an order.
WITH hashed AS (
    SELECT source_idx, source_row, sample_id, first_half(sample_id) AS half
    FROM usable
),
repeated AS (
    SELECT half
    FROM hashed
    GROUP BY half
    HAVING count(*) > 1
),
equals AS (
    SELECT
        source_idx,
        source_row,
        first_value(source_idx) OVER in_order AS first_source_idx,
        first_value(source_row) OVER in_order AS first_source_row
    FROM repeated
    JOIN hashed ON hashed.half = repeated.half
    WINDOW in_order AS (PARTITION BY sample_id ORDER BY source_idx, source_row)
)
SELECT source_idx, source_row, first_source_idx, first_source_row
FROM equals
WHERE first_source_idx <> source_idx OR first_source_row <> source_row
ORDER BY source_idx, source_row;
