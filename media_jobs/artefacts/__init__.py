"""Artefacts: pictures and recordings that customers fetch by link, for a day.

Bytes are in a Django storage (`storages`), rows say whose they are and until when, links are signed
(`links`) and need no key. Other apps use `api`. What is in them is not looked at here.
"""
