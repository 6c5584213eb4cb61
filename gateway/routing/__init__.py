"""Who is asked, in what order, and what of it when they fail.

`plan`: which candidates a request has · `tries`: which of them next · `failover`: what may move on,
and what the client is told · `board`, `breakers`, `blame`, `sharing`, `budget`: who is out of
service, for all requests of all processes.
"""
