#!/usr/bin/env bash
# Everything that CI does. `tests/check.sh --quick` is the developer's loop: no sanitizers, no clang.
# Installs what is missing. Ends with "N passed, N failed"; exit status 0 only when nothing failed.
# Logs of what failed are printed; all logs are in build/check/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=deploy/deps.sh
. deploy/deps.sh

quick=0
case "${1:-}" in
--quick) quick=1 ;;
"") ;;
*)
    echo "usage: tests/check.sh [--quick]" >&2
    exit 2
    ;;
esac

passed=0
failed=0
logs=$PWD/build/check
mkdir -p "$logs"

# check NAME COMMAND…: one check; its output is shown when it fails.
check() {
    local name=$1 began=$SECONDS
    shift
    if "$@" >"$logs/$name.log" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $name ($((SECONDS - began)) s)"
        return 0
    fi
    failed=$((failed + 1))
    echo "FAIL  $name ($((SECONDS - began)) s): end of $logs/$name.log"
    tail -n 60 "$logs/$name.log" | sed 's/^/      /'
    return 1
}

# counted NAME PASS_PATTERN FAIL_PATTERN COMMAND…: a runner that counts its own tests.
counted() {
    local name=$1 pass=$2 fail=$3 began=$SECONDS status ok bad
    shift 3
    "$@" >"$logs/$name.log" 2>&1
    status=$?
    ok=$(grep -cE "$pass" "$logs/$name.log")
    bad=$(grep -cE "$fail" "$logs/$name.log")
    if [ "$ok" = 0 ] || { [ $status != 0 ] && [ "$bad" = 0 ]; }; then
        bad=$((bad + 1)) # a runner that ran nothing, or broke, has failed
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" = 0 ]; then
        echo "ok    $name: $ok ($((SECONDS - began)) s)"
    else
        echo "FAIL  $name: $bad of $((ok + bad)) ($((SECONDS - began)) s), see $logs/$name.log"
        grep -E "$fail" "$logs/$name.log" | sort -u | sed 's/^/      /'
        tail -n 80 "$logs/$name.log" | sed 's/^/      | /'
    fi
}

build() { # build FOLDER [CMAKE OPTION…]
    cmake -G Ninja -S . -B "$1" -DSQUADBOT_WERROR=ON "${@:2}" && ninja -C "$1"
}
unit() { # unit NAME FOLDER [REGEX]
    counted "$1" '^ *[0-9]+/[0-9]+ Test .* Passed' '^ *[0-9]+/[0-9]+ Test .*(Failed|Timeout|Exception|Not Run)' \
        ctest --test-dir "$2" -j2 --timeout 300 --output-on-failure -R "${3:-.}"
}
node=""
integration() { # integration NAME FOLDER FILE…
    local name=$1 folder=$2
    shift 2
    counted "$name" '^ *ok [0-9]+ -' '^ *not ok [0-9]+ -' \
        env SQUADBOT_BUILD="$PWD/$folder" "$node" --test --test-reporter=tap --test-concurrency=1 --test-force-exit "$@"
}
format() {
    git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run -Werror
}
scripts() {
    git ls-files '*.sh' deploy/quickstart .ci/run tests/bench/run 2>/dev/null | sort -u |
        xargs shellcheck -x -P SCRIPTDIR
}
sample_is_fresh() {
    build/squadbot serve --print-sample | diff -u deploy/squadbot.env.sample -
}

# What the quick loop and the sanitizer builds run of tests/integration.
core=(tests/integration/task.test.mjs tests/integration/http-edge.test.mjs tests/integration/secrets.test.mjs)

# shellcheck disable=SC2086 # lists of words
deps_install $deps_build $deps_run $deps_test || exit 1
node=$(tests/node.sh) || exit 1

check words tests/words.sh
check layers tests/layers.sh
check format format
check shellcheck scripts
if check build build build; then
    check sample sample_is_fresh
    unit unit build
    if [ $quick = 1 ]; then
        integration integration build "${core[@]}"
    else
        mapfile -t all < <(find tests/integration -name node_modules -prune -o -name '*.test.mjs' -print | sort)
        integration integration build "${all[@]}"
    fi
fi
if [ $quick = 0 ]; then
    check build-clang build build/clang -DCMAKE_C_COMPILER=clang-14
    export SQUADBOT_SANITIZED=1
    if check build-address build build/address -DSQUADBOT_SANITIZE=address; then
        unit unit-address build/address
        integration integration-address build/address "${core[@]}"
    fi
    if check build-thread build build/thread -DSQUADBOT_SANITIZE=thread; then
        unit unit-thread build/thread '^(base|net|store|github-app|sandbox|web)/'
        integration integration-thread build/thread "${core[@]}"
    fi
    unset SQUADBOT_SANITIZED
    check bench-smoke tests/bench/ingest.sh --smoke
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
