# shellcheck shell=bash disable=SC2034 # the lists are used by those who source this
# Sourced by deploy/quickstart and tests/check.sh: installs what is missing, and says which.

deps_build="cmake ninja-build gcc pkg-config libc6-dev libh2o-evloop-dev libcurl4-openssl-dev
    libjansson-dev libgit2-dev libssl-dev libpq-dev libyaml-dev zlib1g-dev libcmocka-dev"
deps_run="postgresql git bubblewrap curl jq openssl ca-certificates procps"
deps_test="clang-14 libclang-rt-14-dev llvm-14 clang-format-14 shellcheck npm nodejs gh wrk psmisc"

# deps_install PACKAGE…: asks apt only for what dpkg does not have.
deps_install() {
    local missing=() package sudo=""
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            deps_provided "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing from Debian: ${missing[*]}"
    $sudo apt-get update -q >/dev/null
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        "${missing[@]}" >/dev/null
}

# Some programs may come from elsewhere (a newer Node.js): what counts is that they run.
deps_provided() {
    case "$1" in
    nodejs) command -v node >/dev/null ;;
    npm) command -v npm >/dev/null ;;
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
    *) return 1 ;;
    esac
}
