"""Does a supernet rank networks as training them alone does? One row per strategy, all against the same networks.

    python benchmarks/ranking.py alone --seeds 2                  # train the networks alone; hours, resumable
    python benchmarks/ranking.py supernet default                 # train a supernet and rank the networks in it
    python benchmarks/ranking.py supernet uniform --set sampling=uniform
    python benchmarks/ranking.py ends --epochs 20                 # smallest and largest alone, for as many images
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

from nas.data.datasets import load_dataset
from nas.evaluation.ranking import rank_agreement
from nas.files import read_json, read_jsonl, write_json, write_text
from nas.progress import Console
from nas.run.run import Run
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.strata import draw_pool, spread
from nas.training.network import Recipe
from nas.workflows.network_training.standalone import train_standalone
from nas.workflows.requests import TrainRequest
from nas.workflows.search.inherited_accuracy import InheritedAccuracy
from nas.workflows.train_supernet.command import train_supernet

SPACE, DATA = "scan-mix-tiny", "cluttered-digits"


def networks(count: int) -> list[Architecture]:
    """The networks to be ranked, then the smallest and the largest of the space, which are not."""
    space = SearchSpace.load(SPACE)
    pool = draw_pool(space, count, np.random.default_rng(0))
    costs = [architecture_cost(each, space.num_classes).macs for each in pool]
    return [*spread(pool, costs, count), space.smallest(), space.largest()]


def alone(args: argparse.Namespace) -> None:
    recipe = Recipe(epochs=args.alone_epochs)
    train_standalone(
        networks(args.networks), load_dataset(DATA, 0), recipe, args.seeds, args.folder / "alone.jsonl", Console()
    )


def reached_alone(args: argparse.Namespace) -> np.ndarray:
    """Accuracies [n, seeds], as they were written down, whatever settings the recipe has been given since."""
    rows = read_jsonl(args.folder / "alone.jsonl")
    known = {
        (row["id"], row["seed"]): row["accuracy"] for row in rows if row["settings"]["epochs"] == args.alone_epochs
    }
    return np.array([[known[each.id, seed] for seed in range(args.seeds)] for each in networks(args.networks)])


def ends(args: argparse.Namespace) -> None:
    space = SearchSpace.load(SPACE)
    data, recipe = load_dataset(DATA, 0), Recipe(epochs=args.epochs)
    two = [space.smallest(), space.largest()]
    reached = train_standalone(two, data, recipe, 1, args.folder / "alone.jsonl", Console())
    print(f"{args.epochs * data.num_train:,} images alone: smallest {reached[0][0]:.1%}, largest {reached[1][0]:.1%}")


def supernet(args: argparse.Namespace) -> None:
    run, start = args.folder / f"{args.name}-{args.seed}", time.process_time()
    resume = (run / "run.json").exists()
    request = TrainRequest(
        space=SPACE,
        data=DATA,
        run=run,
        seed=args.seed,
        resume=resume,
        overrides=args.overrides,
        settings={"epochs": args.epochs},
        now=datetime.now(),
    )
    train_supernet(request, Console())
    cpu = read_json(run / "cost.json")["cpu_s"] if (run / "cost.json").exists() else 0.0
    write_json(run / "cost.json", {"cpu_s": cpu + time.process_time() - start})
    write_text(run / "inherited.json", json.dumps(InheritedAccuracy(Run(run)).of(networks(args.networks))))


def tau_gain(of: np.ndarray, over: np.ndarray, truth: np.ndarray, resamples: int = 2000) -> str:
    """How much higher tau is, with its 95 % interval over resampled networks, the same for both."""
    from scipy.stats import kendalltau

    def gain(chosen: np.ndarray) -> float:
        return kendalltau(of[chosen], truth[chosen])[0] - kendalltau(over[chosen], truth[chosen])[0]

    rng, count = np.random.default_rng(0), len(truth)
    drawn = [gain(rng.integers(count, size=count)) for _ in range(resamples)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return f"{gain(np.arange(count)):+.2f} [{low:+.2f}, {high:+.2f}]"


def table(args: argparse.Namespace) -> None:
    reached = reached_alone(args)
    mean = reached.mean(axis=1)
    print(
        f"alone: {reached[:-2].min():.1%} to {reached[:-2].max():.1%}, smallest {mean[-2]:.1%}, largest {mean[-1]:.1%}"
    )
    macs = [float(architecture_cost(each, 10).macs) for each in networks(args.networks)[:-2]]
    found = rank_agreement(macs, mean[:-2].tolist(), 0)
    print(f"MACs against it: tau {found.kendall_tau:.2f} [{found.low:.2f}, {found.high:.2f}]")
    for seed in range(1, args.seeds):
        ceiling = rank_agreement(reached[:-2, 0].tolist(), reached[:-2, seed].tolist(), 0)
        print(f"seed 0 against seed {seed}: tau {ceiling.kendall_tau:.2f} [{ceiling.low:.2f}, {ceiling.high:.2f}]")
    print(
        f"| strategy | seed | images | tau | tau, to {args.base} | Spearman | largest | smallest | mean gap | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    base = np.array(json.loads((args.folder / args.base / "inherited.json").read_text()))
    for path in sorted(args.folder.glob("*/inherited.json")):
        inherited, run = json.loads(path.read_text()), path.parent
        found = rank_agreement(inherited[:-2], mean[:-2].tolist(), 0)
        name, _, seed = run.name.rpartition("-")
        cells = [
            name,
            seed,
            f"{read_jsonl(run / 'training.jsonl')[-1]['images']:,}",
            f"{found.kendall_tau:.2f} [{found.low:.2f}, {found.high:.2f}]",
            tau_gain(np.array(inherited[:-2]), base[:-2], mean[:-2]),
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
    two = commands.add_parser("ends")
    two.add_argument("--epochs", type=int, default=5)
    two.set_defaults(run=ends)
    last = commands.add_parser("table")
    last.add_argument("--base", default="rotation-0", help="the run that the others are compared with")
    last.set_defaults(run=table)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
