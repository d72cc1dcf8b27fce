"""One file per deed. Use cases name no framework: they are handed a store, a door and a model, and the time."""
