"""Frozen records, enums and errors that every room shares. Imports nothing of ours and no framework."""
