"""Replaying history as it would have happened, through the code that serves.

``stage`` imports a directory into a database of the replay's own, all but the labels. ``replay`` walks through it step
by step: signups at their second, labels as they come, detection, relearning, rescoring; each reads what was known at
its moment and nothing later. ``ledger`` keeps what was decided, so that a replay that was stopped goes on. ``measure``
says what it came to.
"""
