"""Do two trees of this project compute the same, byte for byte? Digests of what the commands write, in two columns.

    python benchmarks/same_behaviour.py record --tree OLD --out old.json --shared folder
    python benchmarks/same_behaviour.py record --tree . --out new.json --shared folder
    python benchmarks/same_behaviour.py table old.json new.json

Every command runs in a process of its own, on one thread, with fixed seeds. The latency table is made from a journal
that the first recording leaves in the shared folder: measurements differ from one run to the next, rows made from the
same journal must not. Comparisons are for a predicted device, whose latencies have no noise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = (
    *("demo", "train-supernet", "profile", "search", "finetune", "compare", "audit", "report", "export", "show"),
)
TRAININGS = {"toy": ("digits", "epochs=2"), "scan-mix-tiny": ("digits", "epochs=2")}
MAIN = "from nas.cli import main; main()"


def nas(tree: Path, folder: Path, *words: str) -> str:
    """Run one command of a tree in a folder; return what it prints."""
    env = {**os.environ, "PYTHONPATH": str(tree.resolve()), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    command = [sys.executable, "-P", "-c", MAIN, *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode in (0, 4), f"nas {' '.join(words)}: {done.stderr[-3000:]}"
    return done.stdout


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def profiled(tree: Path, folder: Path, shared: Path) -> None:
    """Make the table of `toy` from the shared journal; without one, measure and keep the journal by a second link."""
    name = "onnxruntime-fp32-b1-t1-toy"
    journal = folder / "latency_tables" / "cpu" / f"{name}.partial.jsonl"
    kept, words = shared / "journal.jsonl", ["profile", "--device", "cpu", "--space", "toy", "--quiet"]
    journal.parent.mkdir(parents=True)
    if not kept.exists():
        env = {**os.environ, "PYTHONPATH": str(tree.resolve()), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([sys.executable, "-P", "-c", MAIN, *words], cwd=folder, env=env)
        while not journal.exists():
            time.sleep(0.01)
        os.link(journal, kept)
        assert process.wait() in (0, 4)
        shutil.rmtree(journal.parent)
        journal.parent.mkdir(parents=True)
    shutil.copy(kept, journal)
    nas(tree, folder, *words, "--resume")


def record(tree: Path, shared: Path, folder: Path) -> dict[str, str]:
    """Run the commands of one tree; return digests of what they write, by name."""
    found: dict[str, str] = {}
    for command in COMMANDS:
        found[f"nas {command} --help"] = digest(nas(tree, folder, command, "--help").encode())
    found["nas --help"] = digest(nas(tree, folder, "--help").encode())
    for space, (data, epochs) in TRAININGS.items():
        words = ["--space", space, "--data", data, "--run", f"runs/{space}", "--quiet", "--set", epochs]
        nas(tree, folder, "train-supernet", *words)
        weights = folder / "runs" / space / "supernet.safetensors"
        found[f"{space}: supernet.safetensors after two epochs"] = digest(weights.read_bytes())
    profiled(tree, folder, shared)
    table = folder / "latency_tables" / "cpu" / "onnxruntime-fp32-b1-t1-toy.csv"
    found["toy: latency table from a recorded journal"] = digest(table.read_bytes())
    run = ["--run", "runs/toy", "--quiet"]
    nas(tree, folder, "search", "--device", "cpu", "--device", "a100", "--budget", "40", *run)
    for device in ("cpu", "a100"):
        for name in ("evaluations.jsonl", "front.csv", "hypervolume.csv", "front.json"):
            found[f"toy on {device}: {name}"] = digest((folder / "runs/toy/search" / device / name).read_bytes())
    nas(tree, folder, "search", "--device", "a100", "--budget", "30", "--run", "runs/scan-mix-tiny", "--quiet")
    for name in ("evaluations.jsonl", "front.csv", "presets.csv"):
        path = folder / "runs/scan-mix-tiny/search/a100" / name
        found[f"scan-mix-tiny on a100: {name}"] = digest(path.read_bytes())
    nas(tree, folder, "finetune", "--pick", "best", "--pick", "smallest", "--epochs", "1", *run)
    for number, path in enumerate(sorted((folder / "runs/toy/models").iterdir())):
        for name in ("model.safetensors", "model.onnx", "model.json"):
            found[f"toy: {name} of network {number}"] = digest((path / name).read_bytes())
    nas(tree, folder, "compare", "--device", "a100", "--models", "resnet10t@32", *run)
    found["toy: compare.csv"] = digest((folder / "runs/toy/compare.csv").read_bytes())
    nas(tree, folder, "audit", "--subnets", "3", "--epochs", "1", "--device", "a100", *run)
    found["toy: audit.json"] = digest((folder / "runs/toy/audit.json").read_bytes())
    nas(tree, folder, "export", "--pick", "best", "--format", "onnx", "--output", "out", *run)
    found["toy: exported model.onnx"] = digest((folder / "out/model.onnx").read_bytes())
    nas(tree, folder, "export", "--pick", "best", "--format", "safetensors", "--output", "out", *run)
    found["toy: exported model.py"] = digest((folder / "out/model.py").read_bytes())
    return found


def table(before: dict[str, str], after: dict[str, str]) -> int:
    """Print both columns; return the number of rows that differ."""
    differ = 0
    print(f"{'what':<58} {'before':<17} {'after':<17}")
    for name in before | after:
        pair = before.get(name, "-"), after.get(name, "-")
        differ += pair[0] != pair[1]
        print(f"{name:<58} {pair[0]:<17} {pair[1]:<17} {'' if pair[0] == pair[1] else 'DIFFERS'}")
    print(f"{len(before | after)} figures, {differ} differ")
    return differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("--tree", type=Path, required=True)
    recording.add_argument("--out", type=Path, required=True)
    recording.add_argument("--shared", type=Path, required=True)
    comparing = commands.add_parser("table")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    args = parser.parse_args()
    if args.command == "table":
        sys.exit(bool(table(*(json.loads(path.read_text()) for path in (args.before, args.after)))))
    args.shared.mkdir(parents=True, exist_ok=True)
    folder = args.out.resolve().with_suffix(".run")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    args.out.write_text(json.dumps(record(args.tree.resolve(), args.shared.resolve(), folder), indent=1) + "\n")


if __name__ == "__main__":
    main()
