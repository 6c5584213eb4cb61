"""Every setting, read from the environment here and nowhere else.

Development has a default for each; in production (`CCAPI_ENV=production`) a missing secret stops
the start and is named.
"""

import gc
import os
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# What a start makes stays: to look through it for garbage after every 700 objects takes an eighth
# of its time. A web process has a word of its own about it (`gateway.api`).
gc.set_threshold(50_000, 10, 10)

BASE_DIR = Path(__file__).resolve().parent.parent
PRODUCTION = os.environ.get("CCAPI_ENV", "development") == "production"


def _secret(name: str, default: str) -> str:
    """A secret from the environment, with a default for development only."""
    value = os.environ.get(name, "")
    if value:
        return value
    if PRODUCTION:
        raise ImproperlyConfigured(f"{name} is not set; production needs it.")
    return default


def _list(name: str) -> list[str]:
    """Comma-separated values."""
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def _database(url: str) -> dict[str, object]:
    """`postgresql://user:password@host:port/name?option=value` → Django's settings.

    A path as `host=` in the query (or percent-encoded as the host) is a unix socket's folder.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", unquote(parts.hostname or ""))
    port = options.pop("port", str(parts.port or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**options, "pool": {"min_size": 0, "max_size": 8, "timeout": 5}},
    }


def _email(url: str) -> SplitResult:
    """`smtp://user:password@host:port`; smtps is TLS at once, smtp+starttls TLS by STARTTLS."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname):
        raise ImproperlyConfigured("CCAPI_EMAIL_URL must be smtp://, smtps:// or smtp+starttls://.")
    return parts


SECRET_KEY = _secret("SECRET_KEY", "development-only-secret-key-that-is-long-enough-to-be-accepted")
# Keys of API keys: HMAC-SHA256 under this pepper is what the database holds.
CCAPI_KEY_PEPPER = _secret("CCAPI_KEY_PEPPER", "development-only-pepper")
# Upstream keys: AES-256-GCM under keys derived from this one, bound to their row.
CCAPI_MASTER_KEY = _secret("CCAPI_MASTER_KEY", "development-only-master-key")

DATABASE_URL = _secret("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/ccapi")
REDIS_URL = _secret("REDIS_URL", "redis://127.0.0.1:6379/0")
DATABASES = {"default": _database(DATABASE_URL)}

DEBUG = os.environ.get("CCAPI_DEBUG", "") == "1"
# The names in Host that are ours (`ccapi.guard.hosts` has the forms); in development this machine's
# own, and any address.
CCAPI_ALLOWED_HOSTS = _list("CCAPI_ALLOWED_HOSTS") or (
    [] if PRODUCTION else ["localhost", ".localhost", "<address>"]
)
# Django's own check knows no `<address>`; the guard's has been passed by then.
ALLOWED_HOSTS = ["*"] if "<address>" in CCAPI_ALLOWED_HOSTS else CCAPI_ALLOWED_HOSTS
# Our own reverse proxies, as networks (`10.0.0.0/8`), or `unix` for one on a unix socket: who their
# X-Forwarded-For and X-Forwarded-Proto name is believed. Nobody else's headers are.
CCAPI_TRUSTED_PROXIES = _list("CCAPI_TRUSTED_PROXIES")
# Web pages that may call the API from a browser (`https://app.example.com`); `*`: all of them.
CCAPI_CORS_ORIGINS = _list("CCAPI_CORS_ORIGINS")
CSRF_TRUSTED_ORIGINS = [
    origin for origin in os.environ.get("CCAPI_TRUSTED_ORIGINS", "").split(",") if origin
]

# Where customers add money; told in every 402.
CCAPI_TOP_UP_URL = os.environ.get("CCAPI_TOP_UP_URL", "")
# The widest request body of a chat route, and of any other, in bytes.
CCAPI_BODY_BYTES_MAX = int(os.environ.get("CCAPI_BODY_BYTES_MAX", str(32 * 1024 * 1024)))
CCAPI_REST_BODY_BYTES_MAX = int(os.environ.get("CCAPI_REST_BODY_BYTES_MAX", str(2560 * 1024)))
# How long a request's head may take to arrive, and then its body, in seconds.
CCAPI_HEAD_S = float(os.environ.get("CCAPI_HEAD_S", "10"))
CCAPI_BODY_S = float(os.environ.get("CCAPI_BODY_S", "30"))
# How long a hold lives without a heartbeat, in seconds; the heartbeat goes out at a sixth of it.
CCAPI_HOLD_TTL_S = float(os.environ.get("CCAPI_HOLD_TTL_S", "90"))
# How often the sweeper looks for orphaned holds, in seconds.
CCAPI_SWEEP_S = float(os.environ.get("CCAPI_SWEEP_S", "10"))
# The folder of the settlement spool (written only while PostgreSQL is away).
CCAPI_SPOOL_DIR = Path(os.environ.get("CCAPI_SPOOL_DIR", str(BASE_DIR / ".data" / "spool")))
# How old an authenticated key may grow in a process before PostgreSQL is asked again, in seconds.
CCAPI_KEY_CACHE_S = float(os.environ.get("CCAPI_KEY_CACHE_S", "5"))
# A client that takes nothing of its answer for so long, in seconds, counts as gone.
CCAPI_CLIENT_STALL_S = float(os.environ.get("CCAPI_CLIENT_STALL_S", "30"))
# Answers that are read on for clients who left (providers that bill to the end anyway): how many at
# once in a process, and for how long each, in seconds. Beyond either the upstream is hung up on.
CCAPI_DRAINS_MAX = int(os.environ.get("CCAPI_DRAINS_MAX", "100"))
CCAPI_DRAIN_S = float(os.environ.get("CCAPI_DRAIN_S", "120"))
# After SIGTERM: how long new requests are still taken (a load balancer needs time to read
# `/readyz`), and how long the answers under way have, both in seconds from the signal.
CCAPI_SHUTDOWN_ACCEPT_S = float(os.environ.get("CCAPI_SHUTDOWN_ACCEPT_S", "0.25"))
CCAPI_SHUTDOWN_S = float(os.environ.get("CCAPI_SHUTDOWN_S", "30"))
# Chat requests at once in a process; the next ones get 503.
CCAPI_CONCURRENT_MAX = int(os.environ.get("CCAPI_CONCURRENT_MAX", "4000"))
# How late the event loop may be, in seconds, before new chat requests get 503.
CCAPI_OVERLOAD_LAG_S = float(os.environ.get("CCAPI_OVERLOAD_LAG_S", "0.5"))
# How long a request waits for Valkey, in seconds, before the limits of this process stand in.
CCAPI_VALKEY_HOT_S = float(os.environ.get("CCAPI_VALKEY_HOT_S", "0.05"))
# How long a place among an organization's requests at once outlives its process, in seconds; those
# of a living one are renewed at a third of it.
CCAPI_LEASE_TTL_S = float(os.environ.get("CCAPI_LEASE_TTL_S", "15"))
# An offer that failed so often within ten seconds, and at least every other time, rests for some
# seconds before one request probes it; 0: none ever rests (a request then meets every fault anew).
CCAPI_BREAKER_FAILURES = int(os.environ.get("CCAPI_BREAKER_FAILURES", "5"))
# Repeats of a failed call at the same offer, per call of its provider.
CCAPI_RETRY_RATIO = float(os.environ.get("CCAPI_RETRY_RATIO", "0.1"))
# Where customers reach us (`https://api.example.com`), for links that are told outside of a
# request; empty: each as the customer's own request named us.
CCAPI_PUBLIC_URL = os.environ.get("CCAPI_PUBLIC_URL", "").rstrip("/")
# With which secret providers sign their calls to `/media/notify/`, by protocol (Replicate's of our
# account, `whsec_…`); empty: the unguessable path alone counts.
CCAPI_NOTIFY_SECRETS = {"replicate": os.environ.get("CCAPI_REPLICATE_WEBHOOK_SECRET", "")}
# How many of an organization's jobs may be unfinished at a time.
CCAPI_JOBS_OPEN_MAX = int(os.environ.get("CCAPI_JOBS_OPEN_MAX", "100"))
# How long a request waits for its pictures, in seconds, before it is told where to ask for them.
CCAPI_IMAGE_WAIT_S = float(os.environ.get("CCAPI_IMAGE_WAIT_S", "120"))
# How long a job may take from its acceptance to its end, in seconds; its hold stands for as long.
CCAPI_JOB_TOTAL_S = float(os.environ.get("CCAPI_JOB_TOTAL_S", "1800"))
# How long all calls of one performance of a job may take, in seconds.
CCAPI_JOB_CALL_S = float(os.environ.get("CCAPI_JOB_CALL_S", "300"))
# How long the notice of a provider is waited for that has not answered an order, in seconds, before
# it is another's turn.
CCAPI_JOB_UNHEARD_S = float(os.environ.get("CCAPI_JOB_UNHEARD_S", "300"))
# How long a job is a worker's that says nothing any more, in seconds; a living one renews at a
# third of it.
CCAPI_JOB_LEASE_S = float(os.environ.get("CCAPI_JOB_LEASE_S", "30"))
# After a fault of ours a job is tried again in so many seconds, and then in twice as many.
CCAPI_JOB_RETRY_S = float(os.environ.get("CCAPI_JOB_RETRY_S", "5"))
# How often the jobs that are due are looked for, in seconds; and after how long a message that
# nobody took is taken for lost.
CCAPI_JOB_SWEEP_S = float(os.environ.get("CCAPI_JOB_SWEEP_S", "1"))
CCAPI_JOB_REQUEUE_S = float(os.environ.get("CCAPI_JOB_REQUEUE_S", "30"))
# The name of our queue of calls at the broker (that of what is quick has "-quick" behind it), and
# how many processes a worker of calls has.
CCAPI_QUEUE = os.environ.get("CCAPI_QUEUE", "ccapi")
CCAPI_WORKER_PROCESSES = int(os.environ.get("CCAPI_WORKER_PROCESSES", "4"))
# "json" for machines, "console" for people.
CCAPI_LOG_FORMAT = os.environ.get("CCAPI_LOG_FORMAT", "json" if PRODUCTION else "console")
CCAPI_LOG_LEVEL = os.environ.get("CCAPI_LOG_LEVEL", "info")
# When a webhook is tried, in seconds from its first attempt, until it counts as failed; and how
# long a delivery is in the log after its end, in seconds.
CCAPI_WEBHOOK_SCHEDULE_S = tuple(
    float(each)
    for each in _list("CCAPI_WEBHOOK_SCHEDULE_S")
    or ("0", "5", "300", "1800", "7200", "18000", "36000", "50400", "72000", "86400")
)
CCAPI_WEBHOOK_LOG_S = float(os.environ.get("CCAPI_WEBHOOK_LOG_S", str(7 * 24 * 3600)))
# Where pictures and recordings that are told by link lie: "files" (encrypted, in a folder that all
# processes share) or "s3" (needs django-storages[s3]); and for how long, in seconds.
CCAPI_ARTEFACT_STORAGE = os.environ.get("CCAPI_ARTEFACT_STORAGE", "files")
CCAPI_ARTEFACT_S = float(os.environ.get("CCAPI_ARTEFACT_S", str(24 * 3600)))
CCAPI_ARTEFACT_DIR = Path(
    os.environ.get("CCAPI_ARTEFACT_DIR")
    or Path(os.environ.get("CCAPI_DATA_DIR") or BASE_DIR / ".data") / "artefacts"
)
# The bucket; the endpoint is empty for Amazon's own. Without a key: the machine's own role.
CCAPI_ARTEFACT_S3_BUCKET = os.environ.get("CCAPI_ARTEFACT_S3_BUCKET", "")
CCAPI_ARTEFACT_S3_ENDPOINT = os.environ.get("CCAPI_ARTEFACT_S3_ENDPOINT", "")
CCAPI_ARTEFACT_S3_REGION = os.environ.get("CCAPI_ARTEFACT_S3_REGION", "")
CCAPI_ARTEFACT_S3_KEY_ID = os.environ.get("CCAPI_ARTEFACT_S3_KEY_ID", "")
CCAPI_ARTEFACT_S3_SECRET = os.environ.get("CCAPI_ARTEFACT_S3_SECRET", "")

# Certificates (PEM) that providers' and customers' servers may have besides those that the system
# trusts.
CCAPI_CA_BUNDLE = Path(os.environ["CCAPI_CA_BUNDLE"]) if os.environ.get("CCAPI_CA_BUNDLE") else None

# Hosts that URLs of customers (pictures, webhooks) may name besides the public internet over https:
# `host:port`, exactly as URLs write them, over http as well (`hooks.corp:8080,[::1]:9000`).
CCAPI_EGRESS_ALLOW = _list("CCAPI_EGRESS_ALLOW")
# Public networks of our own that such URLs must not reach (`198.51.100.0/24`).
CCAPI_EGRESS_DENY = _list("CCAPI_EGRESS_DENY")

# What the metrics and traces call this build.
CCAPI_VERSION = os.environ.get("CCAPI_VERSION", "0.1.0")
# Where `GET /metrics` answers for all processes that share it; port 0: nowhere.
CCAPI_METRICS_HOST = os.environ.get("CCAPI_METRICS_HOST", "127.0.0.1")
CCAPI_METRICS_PORT = int(os.environ.get("CCAPI_METRICS_PORT", "0" if not PRODUCTION else "9464"))
# Their figures: one folder for the processes of one port, on a local disk.
CCAPI_METRICS_DIR = Path(
    os.environ.get("CCAPI_METRICS_DIR") or BASE_DIR / ".data" / "metrics" / str(CCAPI_METRICS_PORT)
)
# Traces go here over OTLP/HTTP (`http://collector:4318`); empty: none are made.
CCAPI_OTLP_ENDPOINT = os.environ.get("CCAPI_OTLP_ENDPOINT") or os.environ.get(
    "OTEL_EXPORTER_OTLP_ENDPOINT", ""
)
# Which share of the requests is traced, 0 to 1, by trace id.
CCAPI_TRACE_RATIO = float(os.environ.get("CCAPI_TRACE_RATIO", "1"))
# Whether providers are sent our `traceparent`.
CCAPI_TRACE_UPSTREAM = os.environ.get("CCAPI_TRACE_UPSTREAM", "") == "1"

# An alert is told at most once in so many seconds: by e-mail and webhook, where these are given.
CCAPI_ALERT_COOLDOWN_S = float(os.environ.get("CCAPI_ALERT_COOLDOWN_S", "900"))
CCAPI_ALERT_WEBHOOK_URL = os.environ.get("CCAPI_ALERT_WEBHOOK_URL", "")
ADMINS = [
    ("operator", address.strip())
    for address in os.environ.get("CCAPI_ALERT_EMAILS", "").split(",")
    if address.strip()
]
EMAIL = _email(os.environ.get("CCAPI_EMAIL_URL", ""))
EMAIL_HOST, EMAIL_PORT = EMAIL.hostname or "localhost", EMAIL.port or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(EMAIL.username or ""), unquote(EMAIL.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS = EMAIL.scheme == "smtps", EMAIL.scheme == "smtp+starttls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = os.environ.get("CCAPI_EMAIL_FROM", "ccapi@localhost")
EMAIL_SUBJECT_PREFIX = "[CCAPI] "

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "ccapi.core.alerts",
    "accounts",
    "catalog",
    "billing",
    "gateway",
    "media_jobs",
    "media_jobs.artefacts",
    "media_jobs.webhooks",
    "ccapi.openapi",
]
MIDDLEWARE = [
    "ccapi.core.rest.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "ccapi.core.rest.ErrorMiddleware",
]
ROOT_URLCONF = "ccapi.urls"
ASGI_APPLICATION = "ccapi.asgi.application"
# Paths beside Django's own; no group may take a first segment of either (`ccapi.core.reserved`).
CCAPI_ROUTE_TABLES = ["gateway.routes.ROUTES", "ccapi.health.ENDPOINTS", "media_jobs.routes.ROUTES"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
APPEND_SLASH = False
STATIC_URL = "/static/"
# Only where somebody else serves the files: `manage.py collectstatic` gathers them here.
STATIC_ROOT = os.environ.get("CCAPI_STATIC_ROOT") or None

_ARTEFACT_STORAGES: dict[str, dict[str, object]] = {
    "files": {
        "BACKEND": "media_jobs.artefacts.storages.SealedFiles",
        "OPTIONS": {
            "location": CCAPI_ARTEFACT_DIR,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "s3": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": CCAPI_ARTEFACT_S3_BUCKET,
            "endpoint_url": CCAPI_ARTEFACT_S3_ENDPOINT or None,
            "region_name": CCAPI_ARTEFACT_S3_REGION or None,
            "access_key": CCAPI_ARTEFACT_S3_KEY_ID or None,
            "secret_key": CCAPI_ARTEFACT_S3_SECRET or None,
            "signature_version": "s3v4",
            "default_acl": None,
            "querystring_auth": True,
            "file_overwrite": True,  # names are unique: no question to S3 before each
        },
    },
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    # An unknown word is told by a check (`media_jobs.artefacts.storages`).
    "artefacts": _ARTEFACT_STORAGES.get(CCAPI_ARTEFACT_STORAGE, _ARTEFACT_STORAGES["files"]),
}

# The admin's own files, straight from the apps: nothing to collect, nobody else to serve them.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
SECURE_SSL_REDIRECT = PRODUCTION and os.environ.get("CCAPI_SSL_REDIRECT", "1") == "1"
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
# Also for every name below ours; 0 where some of them are not served over TLS.
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = (
    PRODUCTION and os.environ.get("CCAPI_HSTS_SUBDOMAINS", "1") == "1"
)
SECURE_PROXY_SSL_HEADER = None  # the guard has put a trusted proxy's word into the ASGI scope

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.permissions.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasKey"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["ccapi.core.json_body.StrictJSONParser"],
    "EXCEPTION_HANDLER": "ccapi.core.rest.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

# Of /schema; what describes the views is `ccapi.openapi`.
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "",
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_SPLIT_PATCH": False,
    "POSTPROCESSING_HOOKS": [],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
}

LOGGING_CONFIG = None  # ccapi.core.logs sets structlog and the standard library up, once
