-- The pieces that many rows have, the most frequent last: pairs are looked for by the others.
--
-- in   shingled(nth, same_as, shingles, …)
-- out  shingle
-- with $n_sampled   BIGINT        rows to count in, spread evenly over all
--      $rows_above  BIGINT        of them, more than so many have a frequent piece
--      $most        BIGINT        pieces to return, at the most
--
-- Which pieces are thought frequent changes how much is compared, never what is found, so a sample is enough.
WITH numbers AS (
    SELECT 1 + max(nth) / CAST($n_sampled AS BIGINT) AS step
    FROM shingled
),
pieces AS (
    SELECT unnest(shingles) AS shingle
    FROM shingled
    CROSS JOIN numbers
    WHERE nth = same_as AND nth % step = 0
),
counted AS (
    SELECT shingle, count(*) AS n_rows
    FROM pieces
    GROUP BY shingle
    HAVING count(*) > CAST($rows_above AS BIGINT)
),
ranked AS (
    SELECT shingle, row_number() OVER (ORDER BY n_rows DESC, shingle) AS rank
    FROM counted
)
SELECT shingle
FROM ranked
WHERE rank <= $most
ORDER BY rank DESC;
