-- Of equal samples the first stays: in the order of the sources as given, task sources before diverse ones, then by row.
--
-- in   normalized(source_idx, kind, source_row, sample_id, reason, …)
-- out  source_idx, kind, source_row, sample_id, first_source_idx, first_source_row
--      every usable row with the first row equal to it; a row is kept when that is itself
--
-- Samples are equal when their three texts are, byte for byte; `sample_id` is a 128-bit cryptographic hash of them, so this
-- query never touches text. Held-out rows are measured on, not trained on, and take no part.
WITH usable AS (
    SELECT source_idx, kind, source_row, sample_id
    FROM normalized
    WHERE reason IS NULL AND kind <> 'held_out'
)
SELECT
    source_idx,
    kind,
    source_row,
    sample_id,
    first_value(source_idx) OVER equals AS first_source_idx,
    first_value(source_row) OVER equals AS first_source_row
FROM usable
WINDOW equals AS (PARTITION BY sample_id ORDER BY source_idx, source_row)
ORDER BY source_idx, source_row;
