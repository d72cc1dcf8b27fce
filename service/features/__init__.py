"""Features: one plain function each, from columns as of a moment to one float32 column.

No I/O, no clock, no random numbers, no loop over accounts. NaN means unknown, which is not zero. To add one: write the
function in its family's file and name it in that file's ``FEATURES``; the promises in ``tests/promises`` cover it the
day it is born.
"""
