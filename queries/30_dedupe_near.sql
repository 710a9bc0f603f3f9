-- The pairs of rows whose texts are near-duplicates, each verified by the true Jaccard similarity of their pieces.
--
-- in   shingled(nth, kind, same_as, shingles, …), near_keys(nth, n_shingles, key)
-- out  later, earlier, similarity     the rows' numbers, ordered so that each later row's pairs stand together, in the
--                                     order in which rows come
-- with $threshold  DOUBLE             the least similarity
--
-- A row with the same set as an earlier one is paired with the first of them only. Which rows go is decided after this
-- query, in one pass over the pairs: a row is dropped when one of its earlier rows is kept. Task rows are never dropped, so
-- they are no later row here.
WITH candidates AS (
    SELECT DISTINCT a.nth AS earlier, b.nth AS later
    FROM near_keys AS a
    JOIN near_keys AS b ON b.key = a.key
    -- The smaller set is the most two can share, the larger the least they have together.
    WHERE a.nth < b.nth
        AND a.n_shingles >= CAST($threshold AS DOUBLE) * b.n_shingles - 1e-9
        AND b.n_shingles >= CAST($threshold AS DOUBLE) * a.n_shingles - 1e-9
),
pairs AS (
    SELECT candidates.later, candidates.earlier, jaccard(a.shingles, b.shingles) AS similarity
    FROM candidates
    JOIN shingled AS a ON a.nth = candidates.earlier
    JOIN shingled AS b ON b.nth = candidates.later
    WHERE b.kind <> 'task'
    UNION ALL
    SELECT nth AS later, same_as AS earlier, CAST(1 AS DOUBLE) AS similarity
    FROM shingled
    WHERE same_as < nth AND kind <> 'task'
)
SELECT later, earlier, similarity
FROM pairs
WHERE similarity >= CAST($threshold AS DOUBLE)
ORDER BY later, earlier;
