"""The catalog file of the operator: reading it. `catalog.importer` takes it over."""
