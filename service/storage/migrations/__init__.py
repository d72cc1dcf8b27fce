"""The schema, step by step; ``storage/schema.py`` runs them."""
