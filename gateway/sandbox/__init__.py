"""The sandbox: an upstream that answers exactly, or fails on request.

Like the test mode of a payment service. A real HTTP server of every protocol that the gateway
speaks, written from its vendor's documentation, that customers (and our own tests) point at to
exercise their error handling. It shares nothing with the gateway's codecs, so that it checks them
from outside: it imports the standard library, msgspec, orjson and uvicorn, nothing of ours.

`scenarios` is the table of models that chat, `answers` what they say, `openai`, `responses`,
`anthropic`, `gemini` and `ollama` how it is said; `media_scenarios` those of models that speak and
paint, `speech`, `images` and `replicate` what is said then, of `tones`, `pictures` and
`predictions`. `delivery` is how it goes wrong on the way, `server` the ASGI application. Run it
with `python -m gateway.sandbox`.
"""
