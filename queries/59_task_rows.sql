-- The task samples, to be bettered one by one; runs only for `--reword reflect`.
--
-- in   prompt_parts(source_idx, source_row, head, instruction, tail, has_input, input, output, …)
-- out  source_idx, source_row, head, instruction, tail, has_input, input, output, keys
--      `keys` are those of the response, where it is JSON
SELECT source_idx, source_row, head, instruction, tail, has_input, input, output, response_keys(output) AS keys
FROM prompt_parts
GROUP BY source_idx, source_row, head, instruction, tail, has_input, input, output
ORDER BY source_idx, source_row;
