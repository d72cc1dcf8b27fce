"""Reading the interchange tables from files: Parquet, CSV and JSON Lines become typed columns or named bad rows."""
