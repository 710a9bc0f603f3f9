-- The pieces that many rows have, as one list, the most frequent last: pairs are looked for by the others.
--
-- in   shingled(nth, same_as, shingles, …)
-- out  frequent                   null where no piece is frequent
-- with $rows_above  BIGINT        rows that a frequent piece is in more than
--      $most        BIGINT        pieces in the list, at the most
WITH pieces AS (
    SELECT unnest(shingles) AS shingle
    FROM shingled
    WHERE nth = same_as
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
SELECT array_agg(shingle ORDER BY rank DESC) AS frequent
FROM ranked
WHERE rank <= $most;
