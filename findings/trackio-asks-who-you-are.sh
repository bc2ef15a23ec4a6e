#!/usr/bin/env bash
# trackio 0.43.0 asks huggingface.co whose token it finds on the machine, each time that a run is
# begun, although the run is local: without a Space, a server or a bucket. It keeps the answer as
# `_Username` in the run's configuration. HF_HUB_OFFLINE=1 keeps it from that. Without a token
# nothing is asked.
# A proxy that refuses stands in for the network here, and a word that is no token for a token.
# Seen 2026-11-30: the lines that this script prints. It fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q trackio==0.43.0 huggingface_hub==2.4.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os
import socket
import subprocess
import sys
import threading

folder = sys.argv[1]
LOCAL = """
import trackio

run = trackio.init("p", auto_log_cpu=False, auto_log_gpu=False, embed=False)
run.log({"loss": 1.0})
run.finish()
"""
knocks = []
server = socket.create_server(("127.0.0.1", 0))


def refuse():
    while True:
        visitor, _ = server.accept()
        with visitor:
            knocks.append(visitor.recv(100).split(b"\r\n")[0].decode())


threading.Thread(target=refuse, daemon=True).start()
proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
base = {**clean, "HOME": folder, "HTTPS_PROXY": proxy, "HTTP_PROXY": proxy}
base["TRACKIO_DIR"] = f"{folder}/trackio"


def asked(**more):
    """The hosts that a local run with one point asked for."""
    knocks.clear()
    subprocess.run(
        [sys.executable, "-c", LOCAL], env={**base, **more}, check=True, capture_output=True
    )
    return sorted(set(knocks))


without, usual, offline = asked(), asked(HF_TOKEN="hf_none"), asked(HF_TOKEN="hf_none", HF_HUB_OFFLINE="1")
print(f"without a token: {without}")
print(f"with one: {usual}")
print(f"with one and HF_HUB_OFFLINE=1: {offline}")
assert without == [], "it asks without a token now"
assert any("huggingface.co" in knock for knock in usual), "it does not ask any more"
assert offline == [], "HF_HUB_OFFLINE=1 does not keep it from asking any more"
PYTHON
