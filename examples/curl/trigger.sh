#!/usr/bin/env bash
# Trigger a job over HTTP, through Flower, and wait for it; then the other way, with Flower's own task API.
#
#   FLOWER_URL=http://127.0.0.1:5555 FLOWER_USER=settle FLOWER_PASSWORD=… ./trigger.sh JOB_ID NAME SHA256
set -euo pipefail

job=$1 name=$2 sha256=$3

# The login comes from a descriptor: on the command line every user of the machine could read it.
ask() {
    curl --silent --show-error --fail-with-body --max-time 30 \
        --config <(printf 'user = "%s:%s"\n' "$FLOWER_USER" "$FLOWER_PASSWORD") "$@"
}

field() { sed -n "s/.*\"$1\": *\"\\([^\"]*\\)\".*/\\1/p" | head -n 1; }

arguments="{\"name\": \"$name\", \"category_id\": \"10\", \"hash\": \"$sha256\", \"size\": \"1079\"}"

# 1. Settle's own API: checks the body, writes the ledger, and answers with the job. 201: new; 200: the very same again.
ask "$FLOWER_URL/api/jobs" --output /dev/null --write-out 'submitted: %{http_code}\n' \
    -H 'X-Requested-With: curl' -H 'Content-Type: application/json' \
    -d "{\"workflow\": \"myipr.certify\", \"id\": \"$job\", \"kwargs\": $arguments}"

before=
for _ in $(seq 3000); do
    state=$(ask "$FLOWER_URL/api/jobs/$job" | tr ',{' '\n\n' | field state)
    [ "$state" = "$before" ] || echo "$state"
    before=$state
    case $state in succeeded | failed | expired | cancelled) break ;; esac
    sleep 0.2
done

# 2. Flower's own API: publishes a Celery message, and knows nothing of the job. The same id and body is the same job.
ask "$FLOWER_URL/api/task/send-task/settle.myipr.certify" -d "{\"task_id\": \"$job\", \"kwargs\": $arguments}"
echo
ask "$FLOWER_URL/api/task/result/$job"
echo
