-- How large clusters of duplicates are.
--
-- in   copies(kept_source, kept_row, …)
-- out  cluster_size, clusters, dropped
--      a cluster is the row that stays and those that went in its favour
WITH clusters AS (
    SELECT kept_source, kept_row, count(*) AS n_copies
    FROM copies
    GROUP BY kept_source, kept_row
)
SELECT n_copies + 1 AS cluster_size, count(*) AS clusters, sum(n_copies) AS dropped
FROM clusters
GROUP BY n_copies
ORDER BY cluster_size;
