"""Protocols: one folder each, found through `registry`; `base` says what a codec is."""
