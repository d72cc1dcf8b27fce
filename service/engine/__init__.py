"""Where batch work runs. The embedded engine folds in the process with numpy; a distributed one would run the same
functions per partition of accounts, since every fold is per account once a partition holds all rows of its keys.

The house's plan was one relational expression (Ibis) on DuckDB or Spark beside a second fold for small reads. Integers in
numpy made one definition enough for both: ``benchmarks/fold.py`` measures it against DuckDB on the same windows.
What differs per engine stays small: ``columns``, ``score`` and, later, ``components``.
"""
