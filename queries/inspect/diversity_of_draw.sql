-- How diverse the chosen rows are, beside the pool and a random pick of as many words, to read; where it was measured.
--
-- in   diversity(pick, rows, words, distinct_1, …)    what 95_diversity.sql wrote
-- out  pick, rows, words, distinct_1, distinct_2, distinct_3, lead_pairs, lead_pair_entropy, clusters, cluster_entropy,
--      cluster_coverage, mean_distance
WITH ranked AS (
    SELECT *, CASE pick WHEN 'pool' THEN 0 WHEN 'random' THEN 1 ELSE 2 END AS nth
    FROM diversity
)
SELECT
    pick,
    rows,
    words,
    round(distinct_1, 4) AS distinct_1,
    round(distinct_2, 4) AS distinct_2,
    round(distinct_3, 4) AS distinct_3,
    lead_pairs,
    round(lead_pair_entropy, 3) AS lead_pair_entropy,
    clusters,
    round(cluster_entropy, 3) AS cluster_entropy,
    round(cluster_coverage, 4) AS cluster_coverage,
    round(mean_distance, 4) AS mean_distance
FROM ranked
ORDER BY nth;
