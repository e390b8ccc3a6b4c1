#!/usr/bin/env bash
# Installs what Reprise needs and this machine lacks, and says what and why.
# Does nothing, quickly, when nothing is missing. Starts no service and makes no database cluster.
set -euo pipefail

readonly EX_UNAVAILABLE=69
readonly NEEDED_POSTGRES=14
readonly HERE="$(cd "$(dirname "$0")/.." && pwd)"

say() { printf 'setup: %s\n' "$*" >&2; }

die() {
  say "$1"
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit "$EX_UNAVAILABLE"
}

# The directory of a PostgreSQL server that is new enough, or nothing.
postgres_bin_dir() {
  local dir version
  for dir in "${REPRISE_POSTGRES_BIN_DIR:-}" /usr/lib/postgresql/*/bin \
    "$(dirname "$(command -v postgres || echo /nowhere/postgres)")" \
    "$(pg_config --bindir 2>/dev/null || true)"; do
    if [[ -x "$dir/postgres" && -x "$dir/initdb" ]]; then
      version="$("$dir/postgres" --version | grep -oE '[0-9]+' | head -n 1)"
      if ((version >= NEEDED_POSTGRES)); then
        printf '%s\n' "$dir"
        return
      fi
    fi
  done
}

check_rust() {
  local needed found
  needed="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$HERE/Cargo.toml" | head -n 1)"
  if ! command -v cargo >/dev/null; then
    die "Rust is missing, and Reprise is built from source." \
      "Install Rust $needed or later from https://rustup.rs, open a new shell, and run this again."
  fi
  found="$(rustc --version | cut -d ' ' -f 2)"
  if [[ "$(printf '%s\n%s\n' "$needed" "$found" | sort -V | head -n 1)" != "$needed" ]]; then
    die "Rust $found is too old; Reprise needs $needed or later." \
      "With rustup: rustup update stable. Distribution packages are often older: see https://rustup.rs."
  fi
}

# Debian's server package would make and start a cluster of its own, which nobody asked for.
without_main_cluster() {
  local dir=/etc/postgresql-common/createcluster.d status=0
  as_root install -d "$dir"
  printf 'create_main_cluster = false\n' | as_root tee "$dir/reprise-setup.conf" >/dev/null
  "$@" || status=$?
  as_root rm -f "$dir/reprise-setup.conf"
  return "$status"
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif [[ -t 0 ]]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

install_packages() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
  without_main_cluster \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends "$@"
}

main() {
  check_rust

  local packages=() reasons=()
  if ! command -v cc >/dev/null; then
    packages+=(build-essential)
    reasons+=("build-essential: a C compiler and linker, which building Reprise needs")
  fi
  if [[ -z "$(postgres_bin_dir)" ]]; then
    packages+=(postgresql)
    reasons+=("postgresql: the server, which Reprise runs privately on its own data (no system cluster is made)")
  fi
  if ((EUID == 0)) && ! command -v setpriv >/dev/null; then
    packages+=(util-linux)
    reasons+=("util-linux: setpriv, which runs PostgreSQL as another user than root")
  fi
  if ((${#packages[@]} == 0)); then
    return
  fi

  if ! command -v apt-get >/dev/null; then
    die "this is not Debian or Ubuntu, so nothing was installed. Please install yourself:" "${reasons[@]}"
  fi
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    die "this needs root, and sudo is missing. As root: apt-get install ${packages[*]}" "${reasons[@]}"
  fi
  say "installing what is missing:"
  printf '         %s\n' "${reasons[@]}" >&2
  install_packages "${packages[@]}" >&2 ||
    die "the packages could not be installed." "As root: apt-get update && apt-get install ${packages[*]}"
  say "installed ${packages[*]}"
}

main
