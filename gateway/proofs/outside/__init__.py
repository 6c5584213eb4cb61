"""The outside of the gateway, a process of its own: customers that ask, providers that fail."""
