"""Facts summed into hourly partial aggregates, and the fold of those over windows.

Every tile column is declared once, as data, and is a monoid: one event's partial and a billion events' partial come
from the same group-by, and merging partials is the same operation again. So order of arrival and batch size cannot
change a bit, which ``tests/promises`` checks over every declaration.
"""
