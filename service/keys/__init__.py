"""Link keys: what two accounts may have in common. One function per kind, each from a parsed value to one string.

The string is personal data and goes nowhere but into the keyed HMAC of ``signals/pseudonymise.py``. A function returns
None where the value says nothing about who stands behind it. A kind's name is its function's name; to add a kind is to
write the function and to name it in the tuple at the bottom of its file. There is no list of exceptions for popular
values: a key that half of the accounts share (a mail provider, a carrier's gateway) loses its weight by that alone.
"""
