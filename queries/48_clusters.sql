-- Which samples of the pool are of a kind; runs only where the selection is diverse.
--
-- in   pool(source_idx, source_row, sample_id, instruction, input, …)
-- out  source_idx, source_row, sample_id, cluster, opening      in no order
-- with $seed  BIGINT UNSIGNED    changes which words name the clusters
--
-- A cluster is named by a word that all its prompts have: of its longer words, every prompt takes the one whose seeded hash
-- is least. Two prompts are in one cluster with the probability of the Jaccard similarity of their words, and a common
-- word gathers many. An opening gathers the prompts that begin alike, which mostly ask for the same thing.
SELECT
    source_idx,
    source_row,
    sample_id,
    word_cluster(concat(instruction, chr(10), input), CAST($seed AS BIGINT UNSIGNED)) AS cluster,
    opening(concat(instruction, chr(10), input)) AS opening
FROM pool;
