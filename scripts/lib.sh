# shellcheck shell=bash
# What the scripts share, to be sourced: saying what is done, and what must be installed on a fresh Debian or Ubuntu.

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Packages to build with; scripts/test adds its own.
readonly BUILD_PACKAGES="build-essential pkg-config clang libclang-dev cmake python3 python3-venv python3-pip openssl zstd ca-certificates"
# Oldest cargo that builds the workspace (rust-version in Cargo.toml).
readonly CARGO_MINOR_MIN=92

# need_packages NAME...: installs the Debian packages that are missing; root or sudo is needed only then.
need_packages() {
    local missing=() package sudo=()
    command -v dpkg-query >/dev/null || return 0
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    say "installing ${missing[*]}"
    local attempt
    for attempt in 1 2; do
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q \
            --no-install-recommends "${missing[@]}" >&2 && return 0
        [ "$attempt" = 2 ] || "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=300 update -q >&2 || true
    done
    die "could not install ${missing[*]}: see apt's words above"
}

need_cargo() {
    command -v cargo >/dev/null ||
        die "cargo is needed: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    local minor
    minor=$(cargo --version | sed -E 's/^cargo 1\.([0-9]+).*/\1/')
    [ "$minor" -ge "$CARGO_MINOR_MIN" ] || die "cargo 1.$CARGO_MINOR_MIN or newer is needed, $(cargo --version) is here: rustup update"
}
