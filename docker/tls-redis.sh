#!/usr/bin/env bash
# A redis-server that knows TLS, for `make test-tls`: the one on the PATH, or Debian's or Ubuntu's packages unpacked into a
# folder. Nothing is installed and no service is started. Writes FOLDER/redis-server.
set -euo pipefail
folder=$1
mkdir -p "$folder"
knows_tls() { "$1" --port 0 --tls-port 0 --tls-protocols TLSv1.3 --version >/dev/null 2>&1 && ldd "$(command -v "$1")" | grep -q libssl; }
if command -v redis-server >/dev/null && knows_tls redis-server; then
  ln -sf "$(command -v redis-server)" "$folder/redis-server"
  exit
fi
if ! command -v apt-get >/dev/null; then
  echo "no redis-server with TLS on the PATH, and no apt-get to fetch one: install redis" >&2
  exit 1
fi
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
cd "$packages"
apt-get download -qq redis-server redis-tools libjemalloc2 liblzf1
cd - >/dev/null
for package in "$packages"/*.deb; do dpkg -x "$package" "$folder/root"; done
libraries=$(find "$folder/root" -name 'liblzf.so*' -printf '%h\n' | head -n 1)
binary=$(find "$folder/root" -name redis-check-rdb -type f -path '*/bin/*')
ln -sf redis-check-rdb "$(dirname "$binary")/redis-server"
cat >"$folder/redis-server" <<SCRIPT
#!/bin/sh
LD_LIBRARY_PATH="$(realpath "$libraries")" exec "$(realpath "$(dirname "$binary")")/redis-server" "\$@"
SCRIPT
chmod +x "$folder/redis-server"
"$folder/redis-server" --version
