"""Work that outlives a request: images as jobs, their drivers, their artefacts, their webhooks.

Every image request is a job, also the one that is answered at once. A job is accepted with its
hold in one transaction, performed by a Celery worker under a lease, and settled exactly once.
Speech is no job: it streams, and so it walks (`gateway.speech`).
"""
