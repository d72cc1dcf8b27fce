"""Reports for people: one JSON file and one page that needs nothing else."""
