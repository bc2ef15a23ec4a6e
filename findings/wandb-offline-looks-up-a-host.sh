#!/usr/bin/env bash
# wandb 0.31.0 looks up a host of its makers in offline mode too, before anything has gone wrong:
# its process is ready to report its own mistakes there. WANDB_MODE=offline, and every setting of
# wandb.init that turns something off, leave that on; WANDB_ERROR_REPORTING=false turns it off.
# Needs strace, which shows the look-up whether or not it is answered.
# Seen 2026-11-30: the lines that this script prints. It fails when that changes.
set -euo pipefail
command -v strace >/dev/null || { echo "this needs strace"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q wandb==0.31.0
cat >"$folder/offline.py" <<'PYTHON'
import sys

import wandb

settings = wandb.Settings(console="off", silent=True, disable_git=True, x_disable_stats=True,
                          x_disable_meta=True, x_disable_viewer=True)
run = wandb.init(mode="offline", project="p", dir=sys.argv[1], settings=settings)
run.log({"loss": 1.0})
run.finish()
PYTHON

looked_up() { # how often this was asked for: the name as a packet has it, a length before each part
    grep -c 'forge.coreweave.com\|forge\\tcoreweave\\3com' "$1" || true
}

export HOME="$folder"
unset WANDB_ERROR_REPORTING
strace -f -s 200 -e trace=network -o "$folder/default" "$folder/venv/bin/python" "$folder/offline.py" "$folder"
WANDB_ERROR_REPORTING=false \
    strace -f -s 200 -e trace=network -o "$folder/off" "$folder/venv/bin/python" "$folder/offline.py" "$folder"
usual=$(looked_up "$folder/default")
off=$(looked_up "$folder/off")
echo "system calls that ask for api.forge.coreweave.com, offline: $usual"
echo "the same with WANDB_ERROR_REPORTING=false: $off"
[ "$usual" -gt 0 ] || { echo "offline, it asks for that host no more"; exit 1; }
[ "$off" -eq 0 ] || { echo "WANDB_ERROR_REPORTING=false does not keep it from that any more"; exit 1; }
