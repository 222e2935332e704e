#!/usr/bin/env bash
# Runs one of the README's two commands, as it stands there, in a copy of the checkout.
# Usage: docs/check_readme.sh demo|test FOLDER
set -euo pipefail
which=$1
folder=$2
case $which in demo) pattern='xbp demo' ;; test) pattern='pytest' ;; *) exit 2 ;; esac
command=$(sed -n '/^```bash$/,/^```$/p' README.md | grep -v '^```' | grep -- "$pattern")
cp -r . "$folder/$which"
cd "$folder/$which"
# shared/ lies beside the checkout, not beside the copy.
export XBP_SHARED_DATA=${XBP_SHARED_DATA:-$OLDPWD/../shared/data}
echo "+ $command"
bash -c "$command"
if [ "$which" = demo ]; then test -s xbp-demo/demo.png; fi
