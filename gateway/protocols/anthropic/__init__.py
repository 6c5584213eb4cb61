"""Anthropic's Messages API, as clients speak it to us and as providers speak it.

On the direct path (the client and the provider both speak it) bytes pass as they are, except:

- request: `model` is the provider's name of the model; our field `models` is left out; thinking
  blocks that another protocol made (see `signatures`) are taken out, with `thinking` switched off
  where Anthropic would then refuse the request. Headers `anthropic-version` and `anthropic-beta` of
  the client pass.
- whole answer: `usage` gains `input_cost`, `output_cost` and `cost` (JSON numbers, US dollars).
- stream: the same three fields in the `usage` of the last `message_delta`, which is held back,
  together with `message_stop`, until the charge is known.

`model` in the answer is what the provider said. On converted answers it is what the client asked
for.

Capabilities of a model that this codec looks at: `adaptive_thinking` (efforts instead of budgets),
`mid_conversation_system` (system messages where they stand), `fixed_sampling` (no temperature,
top_p, top_k).
"""

from gateway.protocols.anthropic.codec import CODEC

__all__ = ["CODEC"]
