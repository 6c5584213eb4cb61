"""The benchmark of the hot path: what `manage.py bench` does.

The measure that noise does not move is the gateway's CPU time, read from the kernel at both ends of
a steady window and divided by what was completed in it. So the gateway has a core to itself, and
the load generator, the fake upstream, PostgreSQL and Valkey have the others. Runs of all targets
are interleaved; what is told is the median of them, with their range.
"""
