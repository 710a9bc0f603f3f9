-- The task samples, to be bettered one by one; runs only for `--reword reflect`.
--
-- in   firsts(source_idx, kind, source_row, instruction, input, output, …)
-- out  source_idx, source_row, instruction, input, output, keys
--      `keys` are those of the response, where it is JSON
SELECT source_idx, source_row, instruction, input, output, response_keys(output) AS keys
FROM firsts
WHERE kind = 'task'
GROUP BY source_idx, source_row, instruction, input, output
ORDER BY source_idx, source_row;
