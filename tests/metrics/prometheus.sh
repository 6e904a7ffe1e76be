#!/bin/sh
# Prints the folder that has prometheus and promtool: where they are on the PATH, else Debian's package unpacked into the
# folder given. Unpacked, not installed: nothing is started, and nobody has to be root.
set -eu
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
  dirname "$(command -v prometheus)"
  exit
fi
folder=$1
if [ ! -x "$folder/usr/bin/promtool" ]; then
  if ! command -v apt-get >/dev/null; then
    echo "no prometheus on the PATH, and no apt-get to fetch it with: install Prometheus 2.42 or later" >&2
    exit 1
  fi
  [ "$(id -u)" -ne 0 ] || apt-cache show prometheus >/dev/null 2>&1 || apt-get -qq update >&2
  rm -rf "$folder"
  mkdir -p "$folder"
  if ! (cd "$folder" && apt-get -qq download prometheus >&2 && dpkg-deb -x prometheus_*.deb .); then
    rm -rf "$folder"
    echo "Debian's package prometheus cannot be fetched: run apt-get update, or install Prometheus" >&2
    exit 1
  fi
  rm -f "$folder"/prometheus_*.deb
fi
echo "$(cd "$folder" && pwd)/usr/bin"
