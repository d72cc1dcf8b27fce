"""Worlds that other settings made: an independent generator for measuring how campaigns are found."""
