"""Proofs of what we promise, on a running product: what `manage.py prove` does.

Each proof makes the world rough around real processes, and then compares three accounts of what
happened that know nothing of each other: what the customers saw, what the providers did, and what
the ledger says. The customers and providers are a process of their own (`outside`); the proof
itself conducts, and judges (`judge` functions are pure). The ledger is read with SQL and not with
the product's code, so that the product does not vouch for itself.
"""
