"""The door: what callers say becomes numbers, small categories and keyed link keys. Personal data stops here.

One signup and a hundred thousand walk the same functions: ``batch`` lays either out as columns of distinct values,
each distinct value is parsed once, and a row is put together from those. So neither its neighbours nor its place in a
batch can change a bit of it.
"""
