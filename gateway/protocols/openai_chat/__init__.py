"""OpenAI's chat completions, as OpenAI and everybody compatible with it speak them.

On the direct path (client and upstream both speak it) bytes pass as they came, but for these
fields:

Request: `model` is the upstream's name; `models` is taken out; `stream_options.include_usage` is
true on streams; `max_tokens` (`max_completion_tokens` for OpenAI's reasoning models) is set where
the wallet caps an answer for which the client named no limit.

Answer: `usage.input_cost`, `usage.output_cost` and `usage.cost` are added (an upstream's own `cost`
is replaced); with `Told.stamp` also `model` and `provider`, right behind `model`. A field that
stands keeps its place.

Stream: with `Told.stamp`, `model` and `provider` on each chunk. The last usage chunk with `choices:
[]` carries the costs; where the upstream sent none (its usage came on a choice, or not at all) one
of ours is added before `data: [DONE]`. A chunk with choices passes with whatever usage (and `cost`)
its upstream put there: the last chunk is the one that tells the charge. Frames without data
(comments, keep-alives) are dropped, and so is an upstream's error object: ours ends the stream.

Source: https://platform.openai.com/docs/api-reference/chat and the pinned `openai` SDK's types.
"""

from gateway.protocols.openai_chat.codec import CODEC

__all__ = ["CODEC"]
