"""Tools for models that have none: told to the model in the prompt, calls read from its text.

`prompt` turns a request with tools into one without (`told_in_text`), `scanner` cuts an answer's
text into text and calls as it streams, `calls` reads one call tolerantly, `values` types its
arguments by the tool's schema, and `mode` puts it around a whole answer or a stream. All of it
works on `gateway.ir`, so it is the same for every pair of protocols. Nothing here does I/O.

Two dialects are read in every answer: `<cs:tool_use>` and `<function_calls><invoke>`; which one the
prompt teaches is `prompt.dialect_for`'s choice.
"""
