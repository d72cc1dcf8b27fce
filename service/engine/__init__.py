"""Where batch work runs.

The embedded engine folds in the process with numpy; a distributed one would run the same functions per partition of
accounts, since every fold is per account once a partition holds all rows of its keys.

The house's plan was one relational expression (Ibis) on DuckDB or Spark beside a second fold for small reads. Integers
in numpy made one definition enough for both, and faster: 4.8 times DuckDB's rate on the same windows, with twice the
columns and half the threads (``benchmarks/fold.py``), every integer identical.
What differs per engine stays small: ``columns``, ``score`` and, later, ``components``.
"""
