-- The instructions to reword, each once.
--
-- in   prompt_parts(instruction, has_input, output, …)
-- out  instruction_idx, instruction, has_input, keys, n_rows
--      `instruction_idx` is 0, 1, 2, …; `keys` are those of the responses that are JSON, which no wording may name; `n_rows`
--      task samples have the instruction
WITH asked AS (
    SELECT instruction, has_input, response_keys(output) AS keys, count(*) AS n_rows
    FROM prompt_parts
    WHERE instruction <> ''
    GROUP BY instruction, has_input
)
SELECT
    CAST(row_number() OVER (ORDER BY instruction, has_input) AS BIGINT) - 1 AS instruction_idx,
    instruction,
    has_input,
    keys,
    CAST(n_rows AS BIGINT) AS n_rows
FROM asked
ORDER BY instruction_idx;
