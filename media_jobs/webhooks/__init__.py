"""Webhooks: telling customers that something has ended, at least once, signed by Standard Webhooks.

A delivery is a row that is committed with what it tells of (`outbox`). A worker claims those that
are due, sends them through the egress guard with no transaction open, and writes down what came of
it (`delivering`). Other apps use `api`. What a body says is decided by who enqueues it.
Source: https://www.standardwebhooks.com, specification 1.0.
"""
