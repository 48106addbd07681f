#!/usr/bin/env bash
# Install what `make demo` and `make test` need: Debian packages (as root or by sudo), then the virtual environment.
# usage: setup.sh VENV
set -euo pipefail
venv=$1
# For the lab (see harness/lab/preflight.py), for the benchmark's plain ssh, and for the Pi Zero that judges programs.
packages=(systemd-container mmdebstrap iproute2 iptables util-linux mount openssh-client debian-archive-keyring kmod qemu-user-static)

say() { printf '%s\n' "$*" >&2; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
is_installed() { dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "hatcheck needs Python 3.11 or newer; this is $(python3 --version)."; exit 4; }

missing=()
# A system Python on Debian makes virtual environments only with this package.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if command -v dpkg-query >/dev/null; then
  for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
fi
if [ "${#missing[@]}" -gt 0 ]; then
  if as_root true 2>/dev/null && command -v apt-get >/dev/null; then
    say "Installing Debian packages: ${missing[*]}"
    # A third party's source that does not answer must not stop us: the install says if ours is missing.
    as_root apt-get update -qq || say "(some package sources did not answer; going on)"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
  else
    say "Not installed, for that needs root: ${missing[*]} (the lab will not be available)."
  fi
fi

say "Making the Python environment in $venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --editable '.[dev]'
