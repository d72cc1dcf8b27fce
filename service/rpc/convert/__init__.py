"""Protobuf to domain and back, in pairs: ``x_from_wire`` reads a checked message, ``x_to_wire`` writes an answer."""
