#!/bin/sh
# Runs inside the build: first the pinned dependencies (a layer that a change of the code does not touch), then Settle.
set -eu
tools=/build/tools # builds the package, and stays behind
venv=/opt/settle   # what runs; it needs no installer
lock=wheelhouse/requirements${EXTRAS:+-$EXTRAS}.lock
if ls wheelhouse/*.whl >/dev/null 2>&1; then
  source="--no-index --find-links wheelhouse"
else
  source="--only-binary :all:"
fi
case $1 in
  dependencies)
    [ "${EXTRAS:-otel}" = otel ] || { echo "EXTRAS: $EXTRAS is not known; otel is, or nothing" >&2; exit 1; }
    echo "dependencies: $lock $source"
    python3 -m venv "$tools"
    python3 -m venv --without-pip "$venv"
    awk -f build-tools.awk wheelhouse/requirements-dev.lock >build-tools.lock
    # shellcheck disable=SC2086
    "$tools/bin/pip" install --quiet --require-hashes $source -r build-tools.lock
    # shellcheck disable=SC2086
    "$tools/bin/pip" --python "$venv/bin/python" install --quiet --require-hashes $source -r "$lock"
    ;;
  application)
    "$tools/bin/pip" wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir dist .
    "$tools/bin/pip" --python "$venv/bin/python" install --quiet --no-index --no-deps dist/settle_jobs-*.whl
    install -m 0644 healthcheck.py "$venv/"
    ;;
esac
