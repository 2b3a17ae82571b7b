"""From a table of events to sums: which question, which SQL, and who runs it.

`question` has the grammar of metrics, `sql` writes what is asked (pure), `engine` is the door to
DuckDB, `count` asks it, `counted` has what comes back: sums alone, never a row.
"""
