"""Does a supernet rank networks as training them alone does? One row per strategy, all against the same networks.

    python benchmarks/ranking.py alone --seeds 2                  # train the networks alone; hours, resumable
    python benchmarks/ranking.py supernet default                 # train a supernet and rank the networks in it
    python benchmarks/ranking.py supernet uniform --set sampling=uniform
    python benchmarks/ranking.py table                            # all that there is, as Markdown

24 float networks of `scan-mix-tiny`, spread over MACs with kinds balanced, and the smallest and the largest. Everything
is kept under --folder: `alone.jsonl`, and a run per strategy, so that nothing is trained twice. Accuracies are on the
validation split of `cluttered-digits`.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime
from pathlib import Path

import numpy as np

from nas.evaluation.data import load_dataset
from nas.evaluation.finetune import Recipe
from nas.evaluation.ranking import rank_agreement
from nas.progress import Talk
from nas.run_dir import read_json, read_rows, write_json
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.strata import draw_pool, spread
from nas.workflows.alone import train_alone
from nas.workflows.inherited import InheritedAccuracy
from nas.workflows.train_supernet import train_supernet

SPACE, DATA = "scan-mix-tiny", "cluttered-digits"


def networks(count: int) -> list[Architecture]:
    """The networks to be ranked, then the smallest and the largest of the space, which are not."""
    space = SearchSpace.load(SPACE)
    pool = draw_pool(space, count, np.random.default_rng(0))
    costs = [architecture_cost(each, space.num_classes).macs for each in pool]
    return [*spread(pool, costs, count), space.smallest(), space.largest()]


def alone(args: argparse.Namespace) -> list[list[float]]:
    recipe = Recipe(epochs=args.alone_epochs)
    path = args.folder / "alone.jsonl"
    return train_alone(networks(args.networks), load_dataset(DATA, 0), recipe, args.seeds, path, Talk())


def supernet(args: argparse.Namespace) -> None:
    run, start = args.folder / f"{args.name}-{args.seed}", time.process_time()
    resume = (run / "run.json").exists()
    train_supernet(
        space=SPACE, data=DATA, run=run, seed=args.seed, resume=resume, overrides=args.overrides,
        settings={"epochs": args.epochs}, now=datetime.now(), talk=Talk(),
    )  # fmt: skip
    cpu = read_json(run / "cost.json")["cpu_s"] if (run / "cost.json").exists() else 0.0
    write_json(run / "cost.json", {"cpu_s": cpu + time.process_time() - start})
    write_json(run / "inherited.json", InheritedAccuracy(run).of(networks(args.networks)))


def table(args: argparse.Namespace) -> None:
    reached = np.array(alone(args))
    mean = reached.mean(axis=1)
    print(
        f"alone: {reached[:-2].min():.1%} to {reached[:-2].max():.1%}, smallest {mean[-2]:.1%}, largest {mean[-1]:.1%}"
    )
    for seed in range(1, args.seeds):
        ceiling = rank_agreement(reached[:-2, 0].tolist(), reached[:-2, seed].tolist(), 0)
        print(f"seed 0 against seed {seed}: tau {ceiling.kendall_tau:.2f} [{ceiling.low:.2f}, {ceiling.high:.2f}]")
    print("| strategy | seed | images | tau | Spearman | largest | smallest | mean gap | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in sorted(args.folder.glob("*/inherited.json")):
        inherited, run = json.loads(path.read_text()), path.parent
        found = rank_agreement(inherited[:-2], mean[:-2].tolist(), 0)
        name, _, seed = run.name.rpartition("-")
        cells = [
            name,
            seed,
            f"{read_rows(run / 'training.jsonl')[-1]['images']:,}",
            f"{found.kendall_tau:.2f} [{found.low:.2f}, {found.high:.2f}]",
            f"{found.spearman:.2f} [{found.spearman_low:.2f}, {found.spearman_high:.2f}]",
            f"{inherited[-1]:.1%}",
            f"{inherited[-2]:.1%}",
            f"{100 * float(np.mean(mean[:-2] - np.array(inherited[:-2]))):.1f}",
            f"{read_json(run / 'cost.json')['cpu_s']:.0f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/ranking"))
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=1, help="how often each network is trained alone")
    parser.add_argument("--alone-epochs", type=int, default=5)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("alone").set_defaults(run=alone)
    one = commands.add_parser("supernet")
    one.add_argument("name")
    one.add_argument("--epochs", type=int, default=5)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--set", dest="overrides", action="append", default=[])
    one.set_defaults(run=supernet)
    commands.add_parser("table").set_defaults(run=table)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
