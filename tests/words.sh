#!/usr/bin/env bash
# Banned calls and sizes: unbounded or unsafe string calls, hidden sleeping, files that grew too long.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0

calls='strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|strtol|strtoul|alloca|localtime|gmtime|system|popen|sleep|usleep|nanosleep'
if git ls-files '*.c' '*.h' | xargs grep -nE "(^|[^A-Za-z0-9_])($calls)\(" ; then
    echo "words: banned calls (above)"
    bad=1
fi
if git ls-files '*.c' '*.h' '*.sh' '*.mjs' '*.js' '*.sql' | xargs grep -nE '\b(TODO|FIXME|XXX|HACK)\b' -- | grep -v '^tests/words.sh'; then
    echo "words: left open (above)"
    bad=1
fi
while read -r file; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 800 ]; then
        echo "words: $file has $lines lines, 800 are allowed"
        bad=1
    fi
done < <(git ls-files '*.c' '*.h' '*.sh' '*.mjs' '*.js')
[ $bad = 0 ] && echo "words: ok"
exit $bad
