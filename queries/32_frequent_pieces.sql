-- The pieces that many rows have, the most frequent last: similar rows are looked for by the others.
--
-- in   sets(source_row, pieces, …)      what 30_dedupe_near returned
-- out  piece
-- with $step        BIGINT    one row in so many is counted in
--      $rows_above  BIGINT    of them, more than so many have a frequent piece
--      $most        BIGINT    pieces to return, at the most
--
-- Which pieces are thought frequent changes how much is compared, never what is found, so a sample is enough.
WITH sampled AS (
    SELECT unnest(pieces) AS piece
    FROM sets
    WHERE source_row % CAST($step AS BIGINT) = 0
),
counted AS (
    SELECT piece, count(*) AS n_rows
    FROM sampled
    GROUP BY piece
    HAVING count(*) > CAST($rows_above AS BIGINT)
),
ranked AS (
    SELECT piece, row_number() OVER (ORDER BY n_rows DESC, piece) AS rank
    FROM counted
)
SELECT piece
FROM ranked
WHERE rank <= $most
ORDER BY rank DESC;
