from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.evaluation.ranking import rank_agreement
from nas.files import read_json
from nas.progress import Console
from nas.report.sections.ranking import ranking_sentence
from nas.run.run import Run
from nas.workflows.audit import audit, audit_lines, failed_checks
from nas.workflows.report import gather
from nas.workflows.requests import AuditRequest

QUIET = Console(quiet=True)
SETTINGS = {"epochs": 1, "batch_size": 128}


def run_audit(**asked: Any) -> dict[str, Any]:
    console = asked.pop("console", QUIET)
    request = AuditRequest(**{"run": Path("runs/tiny"), "subnets": 4, "settings": SETTINGS, **asked})
    return audit(request, console).to_json()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_audit_has_the_fields_of_the_contract_and_what_they_were_computed_from(workspace: Path) -> None:
    found = run_audit(seeds=2)
    written = read_json(Path("runs/tiny/audit.json"))
    assert written == {name: value for name, value in found.items() if name != "run"}
    assert {"kendall_tau", "low", "high", "n"} <= written["ranking"].keys()
    assert {"mape", "bias", "kendall_tau", "noise_mape", "macs_mape", "n", "device"} <= written["latency"].keys()
    inherited, alone = ([row[name] for row in written["networks"]] for name in ("inherited", "alone"))
    again = rank_agreement(inherited, alone, seed=0)
    assert (written["ranking"]["kendall_tau"], written["ranking"]["low"]) == (again.kendall_tau, again.low)
    by_seed = [row["alone_by_seed"] for row in written["networks"]]
    assert [sum(each) / 2 for each in by_seed] == pytest.approx(alone)
    assert written["ranking"]["ceiling"]["n"] == 4 and "noise ceiling" in audit_lines(found)[2]
    by_cost = rank_agreement([row["macs"] for row in written["networks"]], alone, seed=0)
    assert written["ranking"]["macs"]["kendall_tau"] == by_cost.kendall_tau
    assert audit_lines(found)[1].startswith(
        f"the order of their MACs against trained alone: Kendall tau {by_cost.kendall_tau:.2f}"
    )


def test_what_is_trained_is_not_trained_again(workspace: Path) -> None:
    run_audit(subnets=3)
    path = Path("runs/tiny/audit/alone.jsonl")
    first = path.read_text()
    run_audit(subnets=3)
    assert path.read_text() == first
    run_audit(subnets=3, seeds=2)
    assert path.read_text().startswith(first) and len(lines_of(path)) == 6
    run_audit(subnets=3, overrides=["learning_rate=0.001"])
    assert len(lines_of(path)) == 9  # another recipe is another figure


def test_a_torn_last_line_costs_one_network(workspace: Path) -> None:
    whole = run_audit(subnets=3)
    path = Path("runs/tiny/audit/alone.jsonl")
    path.write_text(path.read_text()[:-20])
    assert run_audit(subnets=3) == whole
    assert len(lines_of(path)) == 3


@pytest.mark.slow
def test_an_audit_that_was_killed_goes_on_and_repeats_nothing(workspace: Path, spawn: Any) -> None:
    words = ["audit", "--run", "runs/tiny", "--subnets", 6, "--epochs", 2, "--set", "batch_size=128"]
    process, path = spawn(*words, cwd=workspace), workspace / "runs/tiny/audit/alone.jsonl"
    while process.poll() is None and not (path.exists() and path.read_text().count("\n") >= 2):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = path.read_text().rpartition("\n")[0]
    assert before.count("\n") < 5
    again = spawn(*words, cwd=workspace)
    assert again.wait() in (0, 4), again.stderr.read()
    assert path.read_text().startswith(before)
    rows = lines_of(path)
    assert len({row["id"] for row in rows}) == len(rows) == 6


def test_presets_are_audited_by_name(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.space.preset import Preset

    space = Run(Path("runs/tiny")).space()
    named_space = replace(space, presets={"big": Preset("big", space.largest(), "by hand")})
    monkeypatch.setattr(Run, "space", lambda run: named_space)
    named = {row["id"]: row["preset"] for row in run_audit(presets=True)["networks"]}
    assert named[space.largest().id] == "big"


def test_an_order_that_may_be_chance_and_a_bad_table_fail_the_check(workspace: Path) -> None:
    from nas.hardware.table.latency_table import LatencyTable

    sure = {"low": 0.2, "high": 0.9, "n": 20}
    table = LatencyTable.load("cpu", space="toy")
    assert failed_checks(sure, None) == failed_checks(sure, table) == []
    assert "may be 0" in failed_checks({**sure, "low": -0.1}, None)[0]
    bad = replace(table, header=replace(table.header, validation={"trustworthy": False}))
    assert "nas profile --device cpu" in failed_checks(sure, bad)[0]


def test_a_failed_check_is_exit_code_4(workspace: Path, nas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.workflows import audit as module

    monkeypatch.setattr(module, "failed_checks", lambda ranking, table: ["the order may be chance"])
    outcome = nas("audit", "--run", "runs/tiny", "--subnets", 3, "--set", "batch_size=128", "--epochs", 1, "--quiet")
    assert outcome.code == 4 and "check failed: the order may be chance" in outcome.err
    assert Path("runs/tiny/audit.json").exists()


def test_without_a_table_networks_are_spread_over_macs_and_no_latency_is_claimed(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.workflows import audit as module

    monkeypatch.setattr(module, "tables_here", lambda device: [])
    found = run_audit(subnets=3, console=Console())
    assert "no latency table of toy" in capsys.readouterr().err
    assert found["latency"]["mape"] is None and found["latency"]["device"] is None
    assert all(row["latency_ms"] is None for row in found["networks"])


def test_the_report_shows_the_audit_and_refuses_one_of_other_weights(finished: Path) -> None:
    from nas.errors import NasError

    assert gather(Run(Path("runs/tiny"))).audit is None
    found = run_audit(subnets=3)
    data = gather(Run(Path("runs/tiny")))
    shown = data.audit
    assert shown is not None and data.documents.audit["ranking"] == found["ranking"]
    assert f"Kendall tau {found['ranking']['kendall_tau']:.2f}" in ranking_sentence(shown)
    weights = Path("runs/tiny/supernet.safetensors")
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(NasError, match=r"changed since its audit.*nas audit"):
        gather(Run(Path("runs/tiny")))
