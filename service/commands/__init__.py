"""The commands of ``gatehouse``, a file for each group. ``service/cli.py`` gathers them."""
