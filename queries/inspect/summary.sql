-- The columns of the shards: how full, how varied, how spread.
--
-- in   shards
-- out  nth, column_name, column_type, rows, nulls, approx_distinct, min, q25, median, q75, max, mean
--      `approx_distinct` is an estimate within about 2 %
SELECT nth, column_name, column_type, rows, nulls, approx_distinct, min, q25, median, q75, max, mean
FROM summarize('shards')
ORDER BY nth;
