-- Of equal samples the first stays: in the order of the sources as given, task sources before diverse ones, then by row.
--
-- in   normalized(source_idx, kind, source_row, sample_id, reason, …)
--      contaminated(source_idx, source_row, …)    the task rows that are what is measured on
-- out  source_idx, kind, source_row, sample_id, first_source_idx, first_source_row
--      every usable row with the first row equal to it; a row is kept when that is itself
--
-- Samples are equal when their three texts are, byte for byte; `sample_id` is a 128-bit cryptographic hash of them, so this
-- query never touches text. What is measured on, not trained on, takes no part. Most samples have no copies, and only those
-- that have are brought into an order.
WITH usable AS (
    SELECT normalized.source_idx, kind, normalized.source_row, sample_id
    FROM contaminated
    RIGHT ANTI JOIN normalized
        ON contaminated.source_idx = normalized.source_idx AND contaminated.source_row = normalized.source_row
    WHERE normalized.reason IS NULL AND kind IN ('task', 'diverse')
),
repeated AS (
    SELECT sample_id
    FROM usable
    GROUP BY sample_id
    HAVING count(*) > 1
),
copies AS (
    SELECT
        source_idx,
        source_row,
        first_value(source_idx) OVER equals AS first_source_idx,
        first_value(source_row) OVER equals AS first_source_row
    FROM repeated
    JOIN usable ON usable.sample_id = repeated.sample_id
    WINDOW equals AS (PARTITION BY usable.sample_id ORDER BY source_idx, source_row)
)
SELECT
    usable.source_idx,
    kind,
    usable.source_row,
    sample_id,
    coalesce(first_source_idx, usable.source_idx) AS first_source_idx,
    coalesce(first_source_row, usable.source_row) AS first_source_row
FROM copies
RIGHT JOIN usable ON usable.source_idx = copies.source_idx AND usable.source_row = copies.source_row
ORDER BY source_idx, source_row;
