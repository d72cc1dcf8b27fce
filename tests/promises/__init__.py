"""Promises that hold for every feature, key, tile and store, over generated histories."""
