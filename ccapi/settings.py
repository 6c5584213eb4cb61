"""Every setting, read from the environment here and nowhere else.

Development has a default for each; in production (`CCAPI_ENV=production`) a missing secret stops
the start and is named.
"""

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

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


SECRET_KEY = _secret("SECRET_KEY", "development-only-secret-key-that-is-long-enough-to-be-accepted")
# Keys of API keys: HMAC-SHA256 under this pepper is what the database holds.
CCAPI_KEY_PEPPER = _secret("CCAPI_KEY_PEPPER", "development-only-pepper")
# Upstream keys: AES-256-GCM under keys derived from this one, bound to their row.
CCAPI_MASTER_KEY = _secret("CCAPI_MASTER_KEY", "development-only-master-key")

DATABASE_URL = _secret("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/ccapi")
REDIS_URL = _secret("REDIS_URL", "redis://127.0.0.1:6379/0")
DATABASES = {"default": _database(DATABASE_URL)}

DEBUG = os.environ.get("CCAPI_DEBUG", "") == "1"
ALLOWED_HOSTS = [
    host.strip()
    for host in os.environ.get("CCAPI_ALLOWED_HOSTS", "" if PRODUCTION else "*").split(",")
    if host.strip()
]
CSRF_TRUSTED_ORIGINS = [
    origin for origin in os.environ.get("CCAPI_TRUSTED_ORIGINS", "").split(",") if origin
]

# Where customers add money; told in every 402.
CCAPI_TOP_UP_URL = os.environ.get("CCAPI_TOP_UP_URL", "")
# The widest request body, in bytes.
CCAPI_BODY_BYTES_MAX = int(os.environ.get("CCAPI_BODY_BYTES_MAX", str(32 * 1024 * 1024)))
# How long a hold lives without a heartbeat, in seconds; the heartbeat goes out at a sixth of it.
CCAPI_HOLD_TTL_S = float(os.environ.get("CCAPI_HOLD_TTL_S", "90"))
# How often the sweeper looks for orphaned holds, in seconds.
CCAPI_SWEEP_S = float(os.environ.get("CCAPI_SWEEP_S", "10"))
# The folder of the settlement spool (written only while PostgreSQL is away).
CCAPI_SPOOL_DIR = Path(os.environ.get("CCAPI_SPOOL_DIR", str(BASE_DIR / ".data" / "spool")))
# How old an authenticated key may grow in a process before PostgreSQL is asked again, in seconds.
CCAPI_KEY_CACHE_S = float(os.environ.get("CCAPI_KEY_CACHE_S", "5"))
# "json" for machines, "console" for people.
CCAPI_LOG_FORMAT = os.environ.get("CCAPI_LOG_FORMAT", "json" if PRODUCTION else "console")
CCAPI_LOG_LEVEL = os.environ.get("CCAPI_LOG_LEVEL", "info")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "accounts",
    "catalog",
    "billing",
    "gateway",
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
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.permissions.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasKey"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["ccapi.core.json_body.StrictJSONParser"],
    "EXCEPTION_HANDLER": "ccapi.core.rest.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

LOGGING_CONFIG = None  # ccapi.core.logs sets structlog and the standard library up, once
