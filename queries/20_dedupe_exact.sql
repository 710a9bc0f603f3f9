-- The rows that are equal to an earlier one: in the order of the sources as given, task sources before diverse ones, then by
-- row.
--
-- in   usable(source_idx, source_row, sample_id, …)
-- out  source_idx, source_row, first_source_idx, first_source_row
--      `first_…` name the first of the rows equal to it, which stays
--
-- Samples are equal when their three texts are, byte for byte; `sample_id` is a 128-bit cryptographic hash of them, so this
-- query never touches text. Only rows that may have copies are grouped, and where a row stands is one number for it: its source
-- above 40 bits of its place there, so that the first of equals has the least.
WITH placed AS (
    SELECT sample_id, (source_idx << 40) + CAST(source_row AS BIGINT) AS place
    FROM usable
    WHERE may_repeat(sample_id)
),
equals AS (
    SELECT sample_id, min(place) AS first_place
    FROM placed
    GROUP BY sample_id
    HAVING count(*) > 1
)
SELECT
    place >> 40 AS source_idx,
    CAST(place & ((1 << 40) - 1) AS BIGINT UNSIGNED) AS source_row,
    first_place >> 40 AS first_source_idx,
    CAST(first_place & ((1 << 40) - 1) AS BIGINT UNSIGNED) AS first_source_row
FROM equals
JOIN placed ON placed.sample_id = equals.sample_id
WHERE place <> first_place
ORDER BY place;
