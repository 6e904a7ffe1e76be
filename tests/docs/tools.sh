#!/bin/sh
# Prints the folder that has nginx and redis-cli, for the blocks about a server: where they are on the PATH, else Debian's or
# Ubuntu's packages unpacked into the folder given. Unpacked, not installed: nothing is started, and nobody has to be root.
set -eu
folder=$1
mkdir -p "$folder/bin"
for tool in nginx redis-cli; do
  found=$(PATH="$PATH:/usr/sbin" command -v $tool) && ln -sf "$found" "$folder/bin/$tool"
done
if [ ! -x "$folder/bin/nginx" ] || [ ! -x "$folder/bin/redis-cli" ]; then
  if ! command -v apt-get >/dev/null; then
    echo "no nginx or no redis-cli on the PATH, and no apt-get to fetch them with: install nginx and redis-tools" >&2
    exit 1
  fi
  [ "$(id -u)" -ne 0 ] || apt-cache show nginx redis-tools >/dev/null 2>&1 || apt-get -qq update >&2
  rm -rf "$folder/root" "$folder/packages"
  mkdir -p "$folder/root" "$folder/packages"
  if ! (cd "$folder/packages" && apt-get -qq download nginx redis-tools libjemalloc2 liblzf1 >&2); then
    echo "Debian's packages nginx and redis-tools cannot be fetched: run apt-get update, or install them" >&2
    exit 1
  fi
  for package in "$folder"/packages/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
  rm -rf "$folder/packages"
  root=$(cd "$folder/root" && pwd)
  libraries=$(dirname "$(find "$root" -name 'liblzf.so*' | head -n 1)")
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$root/usr/sbin/nginx" >"$folder/bin/nginx"
  printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$libraries" "$root/usr/bin/redis-cli" >"$folder/bin/redis-cli"
  chmod +x "$folder/bin/nginx" "$folder/bin/redis-cli"
fi
"$folder/bin/nginx" -v 2>/dev/null && "$folder/bin/redis-cli" --version >/dev/null || {
  echo "nginx or redis-cli does not run: install nginx and redis-tools" >&2
  exit 1
}
cd "$folder/bin" && pwd
