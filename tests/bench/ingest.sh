#!/usr/bin/env bash
# The `ingest` bench: durable deliveries a second next to what h2o and the signature check alone can
# do (bench-limit), in interleaved rounds on the same machine; figures are medians.
#
#   tests/bench/ingest.sh [--smoke] [--build FOLDER] [--rounds N] [--seconds N]
#
# "intake" is our web server and store over a private PostgreSQL, without the dispatcher (bench-intake);
# "serve" is the whole program, which dispatches what it receives at the same time. --smoke runs one
# short round and checks only that everything works. Load is on loopback only.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=build
rounds=5
seconds=5
smoke=0
while [ $# -gt 0 ]; do
    case $1 in
    --smoke) smoke=1 ;;
    --build) build=$2 && shift ;;
    --rounds) rounds=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    *)
        echo "usage: tests/bench/ingest.sh [--smoke] [--build FOLDER] [--rounds N] [--seconds N]" >&2
        exit 2
        ;;
    esac
    shift
done
if [ $smoke = 1 ]; then
    rounds=1
    seconds=1
fi
[ -f "$build/CMakeCache.txt" ] || cmake -G Ninja -S . -B "$build" >/dev/null
ninja -C "$build" bench-limit bench-intake bench-loadgen squadbot >/dev/null

secret=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
work=$(mktemp -d "${TMPDIR:-/tmp}/squadbot-ingest.XXXXXX")
chmod 711 "$work"
pids=()
stop() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap stop EXIT

# wait_for FILE PATTERN: the number behind it, once it is there.
wait_for() {
    local i
    for ((i = 0; i < 600; i++)); do
        sed -n "s/.*$2\([0-9][0-9]*\).*/\1/p;T;q" "$1" | grep . && return 0
        read -rt 0.1 <> <(:) || true
    done
    echo "no answer in $1:" >&2
    cat "$1" >&2
    return 1
}

"$build/tests/bench-limit" "$secret" >"$work/limit" &
pids+=($!)
limit_port=$(wait_for "$work/limit" 'port=')
"$build/tests/bench-intake" "$secret" "$work/intake-data" >"$work/intake" 2>&1 &
intake_pid=$!
pids+=($!)
intake_port=$(wait_for "$work/intake" 'port=')

env -i PATH="$PATH" HOME="$work" GITHUB_WEBHOOK_SECRET="$secret" GITHUB_TOKEN=unused-token \
    E2B_API_KEY=unused-key GITHUB_API_URL=http://127.0.0.1:9 GITHUB_URL=http://127.0.0.1:9 \
    E2B_API_URL=http://127.0.0.1:9 SQUADBOT_LOG=info SQUADBOT_LISTEN=127.0.0.1:0 \
    SQUADBOT_DATA_DIR="$work/serve-data" "$build/squadbot" serve >"$work/serve" 2>&1 &
serve_pid=$!
pids+=($!)
serve_port=$(wait_for "$work/serve" 'msg=ready.*port=')

# CPU milliseconds of processes, threads and ended children included.
cpu_ms() {
    local pid
    for pid in "$@"; do
        sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null || true
    done | awk -v hz="$(getconf CLK_TCK)" '{ n += $12 + $13 + $14 + $15 } END { printf "%.0f", n * 1000 / hz }'
}
# postgres_of DATA: postmaster and its children.
postgres_of() {
    local postmaster
    postmaster=$(head -n 1 "$1/pg/data/postmaster.pid")
    echo "$postmaster"
    pgrep -P "$postmaster" || true
}

# load PORT OPTION…: appends the line of the load generator to $out.
load() {
    out=$("$build/tests/bench-loadgen" port="$1" secret="$secret" "${@:2}")
}
field() { # field NAME LINE
    # shellcheck disable=SC2001 # a pattern
    sed "s/.*\b$1=\([0-9.]*\).*/\1/" <<<"$2"
}
# measured NAME PID DATA PORT OPTION…: one run; notes rate, p99 and CPU a 1,000 requests.
measured() {
    local name=$1 pid=$2 data=$3 bot postgres requests
    bot=$(cpu_ms "$pid")
    # shellcheck disable=SC2046 # a list of numbers
    postgres=$(cpu_ms $(postgres_of "$data"))
    load "$4" "${@:5}"
    bot=$(($(cpu_ms "$pid") - bot))
    # shellcheck disable=SC2046
    postgres=$(($(cpu_ms $(postgres_of "$data")) - postgres))
    requests=$(field requests "$out")
    note "$name.rate" "$(field rate "$out")"
    note "$name.p99" "$(field p99_us "$out")"
    note "$name.bot" "$(awk "BEGIN { print $bot * 1000 / $requests }")"
    note "$name.postgres" "$(awk "BEGIN { print $postgres * 1000 / $requests }")"
}
note() {
    echo "$2" >>"$work/figure.$1"
}
median() {
    sort -g "$work/figure.$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# Caches, tables and connections warm.
load "$limit_port" seconds=1
load "$intake_port" seconds=1
load "$serve_port" seconds=1
for ((round = 1; round <= rounds; round++)); do
    load "$limit_port" seconds="$seconds"
    note limit.rate "$(field rate "$out")"
    measured intake "$intake_pid" "$work/intake-data" "$intake_port" seconds="$seconds"
    note intake.ratio "$(awk "BEGIN { print $(tail -n 1 "$work/figure.intake.rate") / $(tail -n 1 "$work/figure.limit.rate") }")"
    measured serve "$serve_pid" "$work/serve-data" "$serve_port" seconds="$seconds"
    note serve.ratio "$(awk "BEGIN { print $(tail -n 1 "$work/figure.serve.rate") / $(tail -n 1 "$work/figure.limit.rate") }")"
done
half=$(awk "BEGIN { print int($(median intake.rate) / 2) + 1 }")
for ((round = 1; round <= rounds; round++)); do
    load "$intake_port" seconds="$seconds" rate="$half"
    note half.p99 "$(field p99_us "$out")"
    load "$intake_port" seconds=$(((seconds + 1) / 2)) connections=1
    note lone.p50 "$(field p50_us "$out")"
    note lone.p99 "$(field p99_us "$out")"
    load "$limit_port" seconds=1 connections=1
    note limit.lone "$(field p50_us "$out")"
done

if [ $smoke = 1 ]; then
    echo "ok: $(median intake.rate) deliveries/s"
    exit 0
fi
# row TEXT FIGURE TARGET
row() {
    printf '%-58s %10.*f   %s\n' "$1" "$4" "$(median "$2")" "$3"
}
row "h2o + signature check, nothing stored (limit), req/s" limit.rate "" 0
row "intake, stored before the answer, req/s" intake.rate "" 0
row "intake / limit" intake.ratio ">= 0.36" 3
row "intake: CPU of the bot, ms per 1,000" intake.bot "<= 28" 1
row "intake: CPU of PostgreSQL, ms per 1,000" intake.postgres "<= 30" 1
row "intake: p99 at the maximum, us" intake.p99 "" 0
row "intake: p99 at half of the maximum, us" half.p99 "<= 10000" 0
row "intake: a lone request, median us" lone.p50 "<= 600" 0
row "intake: a lone request, p99 us" lone.p99 "" 0
row "limit: a lone request, median us" limit.lone "" 0
row "serve (dispatches meanwhile), req/s" serve.rate "" 0
row "serve / limit" serve.ratio "" 3
row "serve: CPU of the bot, ms per 1,000" serve.bot "" 1
row "serve: CPU of PostgreSQL, ms per 1,000" serve.postgres "" 1
