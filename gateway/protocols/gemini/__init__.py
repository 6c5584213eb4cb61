"""Google's Gemini API (`generateContent`), as clients speak it to us and as providers speak it.

The route puts into the body what stands outside of it: `model` and `stream` from the path, and
`alt` from the query (`sse`, or `json` where the client asked for no event stream: then its stream
is one JSON array).

On the direct path (the client and the provider both speak it) bytes pass as they are, except:

- request: `model`, `models`, `stream` and `alt` are left out, and the path names the provider's
  model; `generationConfig.maxOutputTokens` is set where the wallet imposes a limit and the client
  named none. Signatures that another protocol made (see `signatures`) are taken out, and calls of
  the current turn that need one and have none get Google's placeholder.
- whole answer: `usageMetadata` gains `input_cost`, `output_cost` and `cost` (JSON numbers, US
  dollars).
- stream: the same three fields in the last chunk that has `usageMetadata`; the chunks in which
  candidates end are held back until the charge is known. Without `alt=sse` the chunks become
  elements of an array.

`modelVersion` in the answer is what the provider said. On converted answers it is what the client
asked for.
"""

from gateway.protocols.gemini.codec import CODEC

__all__ = ["CODEC"]
