#!/bin/bash
# Runs in the sandbox: makes a working tree from the pack that the bot uploaded. No network, no
# credential. Usage: clone.sh REPOSITORY_DIR STAGE_DIR START_OID BRANCH BASE_BRANCH ORIGIN_URL
set -euo pipefail
repo=$1 stage=$2 start=$3 branch=$4 base=$5 origin=$6
export GIT_CONFIG_NOSYSTEM=1

rm -rf -- "$repo"
git init -q --initial-branch="$branch" -- "$repo"
cd -- "$repo"
pack=.git/objects/pack/pack-$start.pack
mv -f -- "$stage/base.pack" "$pack"
git index-pack "$pack" >/dev/null
if [ -s "$stage/shallow" ]; then
    mv -f -- "$stage/shallow" .git/shallow
fi
git config user.name squadbot-agent
git config user.email squadbot-agent@localhost
git config gc.auto 0
git remote add origin "$origin"
git update-ref "refs/remotes/origin/$base" "$start"
git update-ref "refs/heads/$branch" "$start"
git reset -q --hard
git rev-parse HEAD
