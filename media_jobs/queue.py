"""The broker's side: the Celery application, and how a job is handed to a worker.

Messages carry a job's id and nothing else, and may be lost, come twice, or days late: PostgreSQL
knows which jobs there are, and the sweeper sends again what nobody took. What a worker does with a
message is `media_jobs.tasks`; who runs it, `ccapi.celery`.

There are two queues, each with a worker of its own: calls of providers may take minutes, and keep
nothing waiting that is quick: questions, cancellations, webhooks, the sweep.
"""

from urllib.parse import parse_qsl, urlsplit

import structlog
from celery import Celery
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ccapi.core import ids
from media_jobs.models import Job

log = structlog.get_logger(__name__)

PERFORM = "media_jobs.perform"
ASK = "media_jobs.ask"
DELIVER = "media_jobs.deliver_webhooks"
SWEEP = "media_jobs.sweep"
TIDY = "media_jobs.tidy"
QUICK = (ASK, DELIVER, SWEEP, TIDY)
# Beyond the calls themselves: fetching and storing pictures. Then the process is killed.
STORING_S = 60.0
PUBLISH_S = 1.0  # how long a request waits for a broker that does not answer


def broker_url(url: str) -> str:
    """A URL as redis-py takes it → as Kombu does, which calls a unix socket otherwise."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    database = dict(parse_qsl(parts.query)).get("db", "0")
    return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"


QUICK_QUEUE = f"{settings.CCAPI_QUEUE}-quick"
app = Celery("ccapi", broker=broker_url(settings.REDIS_URL))
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_default_queue=settings.CCAPI_QUEUE,
    task_routes={task: {"queue": QUICK_QUEUE} for task in QUICK},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=settings.CCAPI_JOB_CALL_S + STORING_S,
    worker_prefetch_multiplier=1,
    worker_concurrency=settings.CCAPI_WORKER_PROCESSES,
    worker_max_tasks_per_child=1000,
    worker_max_memory_per_child=512 * 1024,  # kB
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,  # a lease says whose the work is
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_connection_timeout=PUBLISH_S,
    broker_transport_options={
        # Longer than any task: a message that is worked on must not be delivered again.
        "visibility_timeout": 2 * (settings.CCAPI_JOB_CALL_S + STORING_S),
        "global_keyprefix": "ccapi:celery:",
        "socket_connect_timeout": PUBLISH_S,
        "max_retries": 0,
    },
    beat_scheduler="celery.beat:Scheduler",  # in memory: nothing of it is worth a file
)


def task_for(job: Job) -> str:
    """What is to be done with it next, as far as its row tells: something quick, or a call."""
    is_quick = job.started is not None or job.cancel_requested_at is not None
    return ASK if is_quick else PERFORM


def enqueue(job: Job) -> None:
    """Hand a job to a worker. Called after the commit; never fails the request."""
    if not send(task_for(job), job.public_id):
        # At the next sweep rather than when the message would be taken for lost.
        Job.objects.filter(pk=job.pk, lease_until=None).update(queued_until=None)


def send(task: str, *arguments: str) -> bool:
    """Send a message; False where the broker does not take it."""
    try:
        app.send_task(task, args=arguments, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("queue.away", task=task, error=type(error).__name__)
        return False
    return True


def length(task: str) -> int | None:
    """How many messages nobody has taken yet, of the queue that the task is in; None: unknown."""
    name = QUICK_QUEUE if task in QUICK else settings.CCAPI_QUEUE
    try:
        with app.connection_or_acquire() as connection:
            declared = connection.default_channel.queue_declare(name)
    except (OperationalError, OSError, RedisError) as error:
        log.warning("queue.away", task=task, error=type(error).__name__)
        return None
    return int(declared.message_count)


def job_of(argument: str) -> Job | None:
    """The job that a message means, if there is one."""
    pk = ids.parse_job_id(argument)
    return None if pk is None else Job.objects.filter(pk=pk).first()
