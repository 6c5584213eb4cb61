"""Leaves: errors, money, usage, ids, clock, Valkey, PostgreSQL, logs. Sees nothing of ours."""
