"""OpenAI's Responses API (`POST /responses`), stateless: no answer is kept here.

On the direct path (client and upstream both speak it) bytes pass as they came, but for these
fields:

Request: `model` is the upstream's name; `models` is taken out; `max_output_tokens` is set where the
wallet caps an answer for which the client named no limit; reasoning items under our seal (see
`signatures`) are restored where this protocol made them, and left out where another did.

Answer: `usage.input_cost`, `usage.output_cost` and `usage.cost` are added.

Stream: the same in the `response` of `response.completed` and `response.incomplete`. An upstream's
`error` and `response.failed` do not pass: ours end the stream.

What refers to answers, conversations, prompts or items that a provider keeps is refused: it keeps
them in the one account that all customers share.

Source: https://platform.openai.com/docs/api-reference/responses and the pinned `openai` SDK's
types.
"""

from gateway.protocols.openai_responses.codec import CODEC

__all__ = ["CODEC"]
