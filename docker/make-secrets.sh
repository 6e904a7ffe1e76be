#!/bin/sh
# A file per secret for docker-compose.yml, in ./secrets (or $SECRETS_DIR): fresh passwords, and empty files for the keys
# of the APIs. What is there stays as it is.
#   --simulated   the keys of the simulated APIs instead of empty files
set -eu
cd "$(dirname "$0")/.."
folder=${SECRETS_DIR:-secrets}
# Only you can enter the folder. The files themselves can be read, because each container runs as a user of its own.
mkdir -p "$folder" && chmod 700 "$folder"

write() { [ -s "$folder/$1" ] || { printf '%s' "$2" >"$folder/$1" && chmod 644 "$folder/$1"; }; }

for name in redis_password flower_password grafana_password; do
  write "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
done
if [ "${1:-}" = --simulated ]; then
  write commonsdb_api_key simulated-commonsdb-key
  write myipr_api_key simulated-myipr-secret
  write unique_tokens_api_key 6f6b1d52-7c1a-4a5e-9d0f-51a3c0ffee00
  write lettrlabs_api_key LL-API-simulated-key
else
  for name in commonsdb_api_key myipr_api_key unique_tokens_api_key lettrlabs_api_key; do write "$name" ""; done
fi
echo "secrets are in $folder"
