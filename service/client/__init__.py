"""The Python client and its small tools; depends on the wire alone, never on the service behind it."""
