-- The rows that are compared with each other, each as the set of its text's pieces.
--
-- in   firsts(source_idx, kind, source_row, instruction, input, output, …)
-- out  source_idx, source_row, is_task, pieces     in the order in which rows come: sources as given, then by row
-- with $on       VARCHAR    prompt | sample    the texts that are compared
--      $shingle  VARCHAR    word:N | char:N    the pieces they are cut into
--
-- Which rows go is decided after this query, in one reading of its rows: a row is dropped exactly when an earlier row that
-- itself stays is as similar as the threshold, which no join can say. Task rows are never dropped.
SELECT
    source_idx,
    source_row,
    kind = 'task' AS is_task,
    shingles(
        CASE
            WHEN CAST($on AS VARCHAR) = 'sample' THEN concat(instruction, chr(10), input, chr(10), output)
            ELSE concat(instruction, chr(10), input)
        END,
        CAST($shingle AS VARCHAR)
    ) AS pieces
FROM firsts
ORDER BY source_idx, source_row;
