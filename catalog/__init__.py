"""What can be called, where, at what price. Others use `catalog.api` and `catalog.types` alone."""
