-- Which samples of the pool are of a kind; runs only where the selection is diverse.
--
-- in   pool(source_idx, source_row, held_out, …)
--      normalized(source_idx, source_row, instruction, input, …)
-- out  source_idx, source_row, cluster, opening
-- with $seed  BIGINT UNSIGNED    changes which words name the clusters
--
-- A cluster is named by a word that all its prompts have: of its longer words, every prompt takes the one whose seeded hash
-- is least. Two prompts are in one cluster with the probability of the Jaccard similarity of their words, and a common
-- word gathers many. An opening gathers the prompts that begin alike, which mostly ask for the same thing.
SELECT
    pool.source_idx,
    pool.source_row,
    word_cluster(concat(instruction, chr(10), input), CAST($seed AS BIGINT UNSIGNED)) AS cluster,
    opening(concat(instruction, chr(10), input)) AS opening
FROM pool
JOIN normalized ON normalized.source_idx = pool.source_idx AND normalized.source_row = pool.source_row
WHERE NOT held_out
ORDER BY pool.source_idx, pool.source_row;
