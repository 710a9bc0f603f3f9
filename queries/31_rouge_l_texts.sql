-- The rows that are compared with each other by ROUGE-L, each as its words.
--
-- in   deduped(source_idx, kind, source_row, first_source_idx, first_source_row, …)
--      normalized(source_idx, source_row, instruction, input, output, …)
-- out  source_idx, kind, source_row, words      in the order of the sources as given
-- with $on  VARCHAR    prompt | sample    the texts that are compared
SELECT
    deduped.source_idx,
    deduped.kind,
    deduped.source_row,
    rouge_words(
        CASE
            WHEN CAST($on AS VARCHAR) = 'sample' THEN concat(instruction, chr(10), input, chr(10), output)
            ELSE concat(instruction, chr(10), input)
        END
    ) AS words
FROM deduped
JOIN normalized ON normalized.source_idx = deduped.source_idx AND normalized.source_row = deduped.source_row
WHERE first_source_idx = deduped.source_idx AND first_source_row = deduped.source_row
ORDER BY deduped.source_idx, deduped.source_row;
