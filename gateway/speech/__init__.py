"""Speech: text in, audio out, in OpenAI's shape and ours, from OpenAI's and ElevenLabs' protocols.

The walk is that of the chat routes, with its one admission, its failover and its settlement; only
the codecs and the answer (`answer`) differ. What is asked stands in `values.Spoken`; how it fits
one candidate (its voice, its format) is found out before anything is held (`fitting`). Audio passes
as it comes; what a provider cannot make is converted (`converting`), and what a client wants as
JSON is made whole first. Nothing here keeps audio: who does registers with `keeping`.
"""
