"""What costs nothing: lists of models, what Ollama's clients ask of a server, counting tokens.

At the root and under every prefix, in each protocol's shape. `routes` says which path is which,
`names` what a caller may see, `models` how each protocol shows it, `paging` which part of it;
`answers` and `counting` answer, and `app` is the ASGI side. Every one of them wants a key; none
asks a provider, none is billed.
"""
