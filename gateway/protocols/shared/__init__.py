"""What several codecs do alike and no protocol owns.

Reading one field of a client's JSON with a good error (`fields`), raw values (`raws`), changing
single fields of a JSON object by their place in the bytes (`splice`), `Retry-After` (`retry`), the
names of what is left out (`dropped`); and what OpenAI's two protocols spell alike
(`openai_fields`, `openai_errors`).
"""
