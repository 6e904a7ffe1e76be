# One image for every role: workers, Flower, the simulator and the `settle` command.
#   docker build -t settle:local .
# A folder docker/wheelhouse (docker/run-tests.sh makes one) is installed from if it is there, with no index; otherwise
# the index is asked. The hashes of the lock files are checked either way. No BuildKit needed.
# `--build-arg EXTRAS=otel` adds what traces need (docs/metrics.md).
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS builder
ARG EXTRAS=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# The pattern matches nothing where there is no wheelhouse; the lock keeps COPY content.
COPY requirements.lock requirements-otel.lock requirements-dev.lock docker/wheelhous[e] wheelhouse/
COPY docker/install.sh docker/build-tools.awk ./
RUN sh install.sh dependencies
COPY pyproject.toml README.md LICENSE docker/healthcheck.py ./
COPY config config
COPY jobs jobs
COPY patches patches
COPY providers providers
COPY settle_jobs settle_jobs
COPY simulator simulator
COPY tasks tasks
COPY workflows workflows
RUN sh install.sh application

FROM ${BASE_IMAGE}
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/settle settle \
 && install -d -o settle -g settle -m 0750 /var/lib/settle
COPY --from=builder /opt/settle /opt/settle
# State and artifacts; mount a volume there. No VOLUME: it would leave an anonymous one behind each container.
ENV PATH=/opt/settle/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SETTLE_STATE_DIR=/var/lib/settle
USER settle
WORKDIR /var/lib/settle
CMD ["celery", "-A", "config.celery_app", "worker", "-Q", "celery,settle.submit,settle.poll,settle.files", "-n", "worker@%h"]
