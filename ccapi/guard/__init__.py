"""The outer guard: what every request passes before any of our other code sees it.

Pure ASGI and plain functions, without Django's handlers: `app` puts the rules together, `headers`,
`hosts`, `paths` and `bodies` say what is refused, `proxies` whom to believe, `cors` which pages may
read answers, `answers` what every answer carries. `protocol` is the part that no ASGI application
can do: time limits and shapes of what is still arriving, inside the server.

Who calls, what exists and what it costs is not known here; routes and their protocols' error shapes
come from `ccapi.asgi`.
"""
