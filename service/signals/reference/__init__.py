"""Tables of the world outside: which country and network an address is in, which domains hand out throw-away mail.

All of them are files of this package or of pinned dependencies, opened without a network. ``deploy/reference_data.py``
renews the files; the operator's own .mmdb may stand in for the two address tables.
"""
