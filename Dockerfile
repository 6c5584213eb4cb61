# syntax=docker/dockerfile:1
# The gateway, one process a container. The same image works on jobs, migrates, runs the commands and serves the sandbox.
#
# The tag is exact; to pin what it names, too, build with the digest that `docker buildx imagetools inspect` tells:
#   docker build --build-arg PYTHON=python:3.11.15-slim-bookworm@sha256:... .
ARG PYTHON=python:3.11.15-slim-bookworm

FROM ${PYTHON} AS build
# The sets of requirements/, by name; "base tracing" for traces (CCAPI_OTLP_ENDPOINT).
ARG REQUIREMENTS="base"
COPY requirements/ /requirements/
RUN python -m venv --without-pip /opt/venv \
    && for set in ${REQUIREMENTS}; do \
        python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --require-hashes \
            --only-binary :all: -r "/requirements/${set}.txt" || exit 1; \
    done
COPY accounts/ /srv/ccapi/accounts/
COPY billing/ /srv/ccapi/billing/
COPY catalog/ /srv/ccapi/catalog/
COPY ccapi/ /srv/ccapi/ccapi/
COPY gateway/ /srv/ccapi/gateway/
COPY media_jobs/ /srv/ccapi/media_jobs/
COPY manage.py /srv/ccapi/
# Compiled here: nothing is written where it runs.
RUN python -m compileall -q -j 0 /opt/venv /srv/ccapi

FROM ${PYTHON}
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin ccapi \
    && install -d -o ccapi -g ccapi -m 0700 /var/lib/ccapi/spool /var/lib/ccapi/artefacts
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/ccapi /srv/ccapi
WORKDIR /srv/ccapi
# Settlements wait in the spool while PostgreSQL is away: it outlives the container, on a volume. The figures of the
# metrics are of this process alone.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CCAPI_ENV=production \
    CCAPI_SPOOL_DIR=/var/lib/ccapi/spool \
    CCAPI_ARTEFACT_DIR=/var/lib/ccapi/artefacts \
    CCAPI_METRICS_DIR=/tmp/ccapi-metrics \
    CCAPI_METRICS_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000 9464
# SIGTERM drains. Whoever stops the container waits for longer than CCAPI_SHUTDOWN_S + 15 s.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=3); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "ccapi.web", "--host", "0.0.0.0", "--port", "8000"]
