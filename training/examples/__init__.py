"""Real records turned into interchange directories: worked examples of bringing your own data.

Each is a command, ``python -m training.examples.NAME``, that is given the folder with the data.
"""
