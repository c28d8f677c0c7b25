#!/usr/bin/env bash
# Code points downwards only: fails on an include that a folder may not use. The table is that of
# bot/README.md. Libraries with one owner are checked too.
set -euo pipefail
cd "$(dirname "$0")/.."

# folder | folders and single headers of ours that it may include
rules='
bot/base     |
bot/net      | bot/base
bot/store    | bot/base
bot/git      | bot/base bot/net
github-app   | bot/base bot/net
bot/sandbox  | bot/base bot/net
bot/agent    | bot/base bot/sandbox
bot/task     | bot/base bot/net bot/store bot/git github-app bot/sandbox bot/agent
handlers     | bot/base github-app/event.h github-app/repo_config.h bot/task/intents.h
bot/work     | bot/base bot/net bot/store bot/git github-app bot/sandbox bot/agent bot/task handlers
bot/web      | bot/base bot/store github-app/signature.h handlers/handlers.h
bot/cli      | bot/base bot/net bot/store bot/sandbox bot/agent github-app
'
# library header | the only folder that may include it
owners='
h2o          | bot/web
curl/        | bot/net
libpq        | bot/store
postgres     | bot/store
git2         | bot/git
yaml.h       | github-app
'
bad=0
complain() {
    echo "layers: $1"
    bad=1
}

while IFS='|' read -r folder may; do
    folder=$(echo "$folder" | xargs)
    [ -n "$folder" ] || continue
    while IFS=: read -r file _ include; do
        ok=0
        for allowed in $folder $may; do
            case "$include" in
            "$allowed" | "$allowed"/*) ok=1 ;;
            esac
        done
        [ $ok = 1 ] || complain "$file may not include $include"
    done < <(grep -nHoE '^#include "[^"]+"' "$folder"/*.[ch] 2>/dev/null |
        sed -E 's/#include "([^"]+)"/\1/')
done <<<"$rules"

while IFS='|' read -r header owner; do
    header=$(echo "$header" | xargs)
    owner=$(echo "$owner" | xargs)
    [ -n "$header" ] || continue
    while IFS= read -r file; do
        case "$file" in
        "$owner"/*) ;;
        *) complain "$file includes $header, which belongs to $owner" ;;
        esac
    done < <(grep -lE "^#include <$header" bot/*/*.[ch] bot/*.[ch] handlers/*.[ch] github-app/*.[ch] || true)
done <<<"$owners"

[ $bad = 0 ] && echo "layers: ok"
exit $bad
