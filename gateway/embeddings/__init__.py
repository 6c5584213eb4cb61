"""Vectors of texts: OpenAI's, Gemini's and Ollama's embeddings, each to any of them.

The walk is that of the chat routes, with its one admission, its failover and its settlement; only
the codecs differ. A request's texts stand in `values.Inputs`, an answer's vectors are parts of its
one choice. Where both sides speak OpenAI's they pass as they came; Gemini's and Ollama's are always
written anew, with their numbers as they came. Anthropic has no embeddings, so neither a route nor
an upstream of it is here.
"""
