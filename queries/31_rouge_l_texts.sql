-- The rows that are compared with each other by ROUGE-L, each as its words.
--
-- in   firsts(source_idx, kind, source_row, instruction, input, output, …)
-- out  source_idx, kind, source_row, words      in the order of the sources as given
-- with $on  VARCHAR    prompt | sample    the texts that are compared
SELECT
    source_idx,
    kind,
    source_row,
    rouge_words(
        CASE
            WHEN CAST($on AS VARCHAR) = 'sample' THEN concat(instruction, chr(10), input, chr(10), output)
            ELSE concat(instruction, chr(10), input)
        END
    ) AS words
FROM firsts
ORDER BY source_idx, source_row;
