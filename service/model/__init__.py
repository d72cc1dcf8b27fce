"""The model as a file, and the model as a function of a matrix; the registry itself is in storage."""
