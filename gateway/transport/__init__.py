"""The only network code of the walk.

The upstream client, its credentials, and the splitting of streams.
"""
