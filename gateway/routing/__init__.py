"""Which candidates a request has (`plan`).

And which failures let the next one take over (`failover`).
"""
