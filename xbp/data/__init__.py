"""Embedded data sets; open them with `xbp.tutorial.open_dataset`."""
