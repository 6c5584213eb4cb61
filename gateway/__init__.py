"""The walk: from a client's request to an upstream's answer and back, billed exactly once."""
