#!/usr/bin/env bash
# The container lane, from nothing: an engine, a wheelhouse, the images, the tests. Called by `make test-containers`.
#
#   PYTHON          has the development requirements (.venv/bin/python)
#   DOCKER_HOST     the engine; if none answers, ENGINE_UP starts a private one, which is stopped at the end
#   BASE_IMAGE      what the image is made from (python:3.13-slim)
#   REDIS_IMAGE     (redis:8; with a base image of Debian's own Redis, one made of that)
#   RABBITMQ_IMAGE  (rabbitmq:4; with such a base image, one made of Debian's package)
#   PROMETHEUS_IMAGE (that of docker-compose.yml; with such a base image, one made of Debian's package)
#   APP_IMAGE       what the image is called (settle:local)
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
ENGINE_UP=${ENGINE_UP:-../shared/bin/engine-up}
export APP_IMAGE=${APP_IMAGE:-settle:local}
step() { printf '%4ds  %s\n' "$SECONDS" "$*" >&2; }

if ! docker info >/dev/null 2>&1; then
  if [ -n "${DOCKER_HOST:-}" ] || [ ! -x "$ENGINE_UP" ]; then
    echo "no Docker engine answers: start one, or set DOCKER_HOST" >&2
    exit 1
  fi
  step "starting a private engine"
  state=${ENGINE_DIR:-$HOME/.cache/settle-engine}
  if ! DOCKER_HOST=unix://$state/docker.sock docker info >/dev/null 2>&1; then
    stop="$ENGINE_UP down"
    trap '$stop' EXIT
  fi
  variables=$("$ENGINE_UP")
  eval "$variables"
fi
export BASE_IMAGE=${BASE_IMAGE:-python:3.13-slim}

# What the base image is, by asking it: its Python, and whether it is a Redis as well.
facts=$(docker run --rm "$BASE_IMAGE" sh -c \
  'python3 -c "import sys; print(*sys.version_info[:2], sep=\".\")"; command -v redis-server || true')
version=$(head -n 1 <<<"$facts")
# A base image with a Redis is one for machines without a registry: then the servers are made from it, too.
stand_in() {
  step "building $1 from $BASE_IMAGE"
  docker build --quiet --build-arg "BASE_IMAGE=$BASE_IMAGE" --target "$1" --tag "settle-test-$1:local" \
    --file docker/stand-ins.Dockerfile docker >/dev/null
}
case $facts in
  *redis-server*)
    [ -n "${REDIS_IMAGE:-}" ] || { stand_in redis && REDIS_IMAGE=settle-test-redis:local; }
    [ -n "${RABBITMQ_IMAGE:-}" ] || { stand_in rabbitmq && RABBITMQ_IMAGE=settle-test-rabbitmq:local; }
    [ -n "${PROMETHEUS_IMAGE:-}" ] || { stand_in prometheus && export PROMETHEUS_IMAGE=settle-test-prometheus:local; }
    ;;
esac
export REDIS_IMAGE=${REDIS_IMAGE:-redis:8} RABBITMQ_IMAGE=${RABBITMQ_IMAGE:-rabbitmq:4}

# Wheels come from the host, so that the build needs neither an index nor its certificates. Elsewhere than on Linux they
# would be the wrong ones: there the build asks the index itself.
house=docker/wheelhouse
if [ "$(uname -s)" = Linux ]; then
  tools=$(mktemp)
  awk -f docker/build-tools.awk requirements-dev.lock >"$tools"
  mark="$version $(uname -m) $(cat requirements-otel.lock "$tools" | sha256sum | cut -d ' ' -f 1)"
  if [ "$(cat "$house/.made-from" 2>/dev/null || true)" != "$mark" ]; then
    step "filling $house for Python $version"
    rm -rf "$house"
    for lock in requirements-otel.lock "$tools"; do
      "$PYTHON" -m pip download --quiet --disable-pip-version-check --only-binary=:all: --python-version "$version" \
        --require-hashes --requirement "$lock" --dest "$house"
    done
    echo "$mark" >"$house/.made-from"
  fi
  rm -f "$tools"
else
  rm -rf "$house"
fi

step "building $APP_IMAGE from $BASE_IMAGE"
docker build --quiet --build-arg "BASE_IMAGE=$BASE_IMAGE" --tag "$APP_IMAGE" . >/dev/null
export OTEL_IMAGE=settle-test-otel:local
step "building $OTEL_IMAGE, with traces"
docker build --quiet --build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg EXTRAS=otel --tag "$OTEL_IMAGE" . >/dev/null
step "testing with $APP_IMAGE, $REDIS_IMAGE and $RABBITMQ_IMAGE"
# The project's own options switch the plugin's entry point off; by its module it is on for this lane.
"$PYTHON" -m pytest -p pytest_celery.plugin tests/containers --numprocesses=3 --dist=loadgroup "$@"
[ $# -eq 0 ] || exit 0 # somebody wants some of these tests only

step "the acceptance tests with RabbitMQ as broker"
rabbitmq=$(docker run --detach --publish 127.0.0.1::5672 \
  --volume "$PWD/docker/rabbitmq.conf:/etc/rabbitmq/conf.d/20-settle.conf:ro" "$RABBITMQ_IMAGE")
trap 'docker rm --force --volumes "$rabbitmq" >/dev/null; ${stop:-true}' EXIT
timeout 60 sh -c "until docker exec $rabbitmq rabbitmqctl await_startup >/dev/null 2>&1; do sleep 0.5; done"
for worker in gw{0..5}; do # each process of the tests has a virtual host of its own
  docker exec "$rabbitmq" rabbitmqctl --quiet add_vhost "$worker" --default-queue-type quorum
  docker exec "$rabbitmq" rabbitmqctl --quiet set_permissions --vhost "$worker" guest '.*' '.*' '.*'
done
address=$(docker port "$rabbitmq" 5672/tcp | head -n 1)
every_broker() {
  "$PYTHON" -m pytest tests/acceptance -m every_broker --numprocesses=6 --dist=loadgroup --timeout=180 --broker "$1"
}
every_broker "amqp://guest:guest@$address/{worker}"

step "the same behind Sentinel, with a fail-over in the middle of each test"
every_broker sentinel
step "done"
