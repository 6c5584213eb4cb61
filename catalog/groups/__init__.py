"""Groups: names that clients ask for, and what they mean, under one segment of a path.

A group belongs to the platform, or to one organization. Its tables, how it is written and read, and
its REST and admin pages live here; what a request makes of it is `gateway.routing`.
"""
