#!/bin/bash
# Runs in the sandbox after the agent: what it left uncommitted becomes a commit, then the branch
# becomes a bundle and a patch. All of it is checked again outside.
# Usage: collect.sh REPOSITORY_DIR STAGE_DIR START_OID BRANCH MESSAGE_FILE
# Prints "none", or "work HEAD_OID".
set -euo pipefail
repo=$1 stage=$2 start=$3 branch=$4 message=$5
export GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
git() {
    command git -c core.hooksPath=/dev/null -c commit.gpgSign=false -c core.fsmonitor=false \
        -c user.name=squadbot-agent -c user.email=squadbot-agent@localhost "$@"
}

cd -- "$repo"
rm -f -- "$stage/out.bundle" "$stage/out.patch"
# Left behind by a git that was killed: the agent is over, nobody holds them.
rm -f -- .git/index.lock .git/HEAD.lock .git/config.lock ".git/refs/heads/$branch.lock"
git add -A
if ! git diff --cached --quiet; then
    git commit -q --no-verify -F "$message"
fi
head=$(git rev-parse HEAD)
if [ "$head" = "$start" ]; then # gone back to where it began: the work is on the branch
    head=$(git rev-parse -q --verify "refs/heads/$branch^{commit}" || echo "$start")
    git checkout -q --detach "$head"
fi
if [ "$head" = "$start" ] || git diff --quiet "$start" HEAD; then
    echo none
    exit 0
fi
git checkout -q -B "$branch"
git bundle create -q "$stage/out.bundle" "refs/heads/$branch" "^$start"
git format-patch -q --stdout --binary "$start..HEAD" >"$stage/out.patch"
echo "work $head"
