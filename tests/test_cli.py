import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from nas.cli import app, resume_command

COMMANDS = sorted(typer.main.get_command(app).commands)
SMALL_TRAINING = ["train-supernet", "--space", "toy", "--data", "digits", "--set", "batch_size=256"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples_and_has_the_common_options(nas, command):
    told = nas(command, "--help")
    assert told.code == 0
    assert "Examples:" in told.out
    assert f"nas {command}" in told.out
    for option in ("--seed", "--quiet", "--json"):
        assert option in told.out


def test_every_command_of_the_contract_that_exists_has_its_options(nas):
    contract = {
        "demo": "--run --minutes",
        "train-supernet": "--space --data --run --epochs --resume --set",
        "profile": "--device --space --backend --dtype --batch --validate --resume",
        "search": "--device --max-latency --max-params --max-size --min-accuracy --algorithm --budget --measured-only "
        "--run --resume --dry-run",
        "finetune": "--run --pick --epochs",
        "compare": "--run --models --device",
        "report": "--run --output",
        "show": "",
    }
    assert set(contract) <= set(COMMANDS)
    for command, options in contract.items():
        told = nas(command, "--help").out.split()
        assert set(options.split()) <= set(told), command


def test_version_is_printed(nas):
    assert nas("--version").out.startswith("nas 0.")


def test_without_a_command_the_help_is_shown(nas):
    told = nas()
    assert "Examples:" in told.out + told.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serch"], "Did you mean 'search'"),
        (["search", "--devce", "cpu"], "--device"),
        (["search"], "--device"),
        (["search", "--device", "cpu", "--max-latency", "5"], "Write 5ms"),
        (["search", "--device", "cpu", "--max-latency", "5MB"], "Known units: ns, us, ms, s"),
        (["search", "--device", "cpu", "--max-latency=-5ms"], "not a positive number"),
        (["search", "--device", "cpu", "--max-size", "2"], "Write 2MB"),
        (["search", "--device", "cpu", "--min-accuracy", "90"], "--min-accuracy"),
        (["search", "--device", "cpu", "--budget", "0"], "--budget"),
        (["profile", "--validate", "-3"], "--validate"),
        (["train-supernet", "--data", "digits"], "--space scan-mix-tiny"),
        (["train-supernet", "--space", "toy"], "--data cluttered-digits"),
        (["train-supernet", "--space", "toy", "--data", "digits", "--set", "epochs"], "--set epochs=20"),
        (["train-supernet", "--space", "toy", "--data", "digits", "--set", "epochs=[1"], "not YAML"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_how_it_is_right(nas, here, words, said):
    told = nas(*words)
    assert told.code == 2
    assert said in told.err
    assert told.out == ""
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search", "--device", "cpx"], "no latency table for device 'cpx'. Did you mean 'cpu'"),
        (["search", "--device", "a10"], "no latency table for device 'a10'. Did you mean 'a100'"),
        (["search", "--device", "cpu", "--run", "runs/tini"], "Did you mean 'tiny'? Runs here: tiny"),
        (["show", "architecture", '{"resolution":16,"stages":[{"width":8,"blocks":[{"kind":"no"}]}]}'], "no kind of"),
        (["search", "--device", "cpu", "--algorithm", "nsga"], "Did you mean 'nsga2'"),
        (["search", "--device", "cpu", "--max-latency", "1us"], "the smallest reachable latency is"),
        (["train-supernet", "--space", "toi", "--data", "digits"], "Did you mean 'toy'"),
        (["train-supernet", "--space", "toy", "--data", "digts"], "Did you mean 'digits'"),
        (["train-supernet", "--space", "toy", "--data", "digits", "--set", "epoch=3"], "Did you mean 'epochs'"),
        (["train-supernet", "--space", "toy", "--data", "digits", "--set", "batch_size=0"], "from 1 up"),
        (["train-supernet", "--space", "toy", "--data", "digits", "--run", "runs/tiny"], "already holds a run"),
        (["train-supernet", "--config", "nowhere.yaml"], "no configuration file"),
        (["profile", "--device", "a100"], "this machine is no a100"),
        (["profile", "--space", "toi"], "Did you mean 'toy'"),
        (["profile", "--backend", "onnx"], "Did you mean 'onnxruntime'"),
        (["finetune"], "no finished search"),
        (["compare"], "no finished search"),
        (["report"], "no finished search"),
        (["show", "spase"], "Did you mean 'space'"),
        (["show", "space", "toi"], "Did you mean 'toy'"),
        (["show", "device", "cpx"], "Did you mean 'cpu'"),
    ],
)
def test_what_the_user_can_mend_exits_with_3_and_says_how(nas, workspace, words, said):
    told = nas(*words)
    assert told.code == 3
    assert told.err.startswith("error: ")
    assert said in told.err
    assert told.out == ""
    assert "Traceback" not in told.err


def test_an_unknown_key_of_a_configuration_names_the_close_match(nas, here):
    Path("config.yaml").write_text("space: toy\ndata: digits\nsede: 3\n")
    told = nas("train-supernet", "--config", "config.yaml")
    assert told.code == 3
    assert "Did you mean 'seed'" in told.err


def test_an_unknown_model_names_the_close_match(nas, workspace):
    searched = nas("search", "--device", "cpu", "--budget", 3, "--quiet")
    assert searched.code == 0, searched.err
    assert nas("finetune", "--pick", "smallest", "--epochs", 1, "--set", "batch_size=512", "--quiet").code == 0
    told = nas("compare", "--models", "resnet10tt")
    assert told.code == 3
    assert "timm has no model 'resnet10tt'. Did you mean 'resnet10t'" in told.err


def test_facts_are_shown_a_line_each_and_what_is_pasted_elsewhere_stays_json(nas, workspace):
    told = nas("show").out
    assert "spaces\n" in told and "  toy: 48 architectures\n" in told
    assert "onnxruntime fp32 batch 1, toy: measured 2026-01-01" in told
    assert "  tiny: toy on digits" in told
    shown = dict(line.split(": ", 1) for line in nas("show", "space", "toy").out.splitlines() if ": " in line)
    assert json.loads(shown["definition"])["name"] == "toy"
    assert json.loads(nas("show", "space", "toy", "--json").out)["definition"] == json.loads(shown["definition"])


def test_a_failed_check_exits_with_4_after_its_result(nas, here, monkeypatch, one_json):
    from nas.workflows import profile

    found = {"table": "latency_tables/cpu/x.json", "rows": 22, "mape": 0.5, "kendall_tau": 0.1, "noise_mape": 0.01}
    found |= {"macs_mape": 0.6, "macs_tau": 0.2, "p90": 0.7, "bias": 0.5, "measured_rows": 22, "passed": False}
    monkeypatch.setattr(profile, "profile_device", lambda request, console: found)
    told = nas("profile", "--device", "cpu", "--space", "toy", "--json")
    assert told.code == 4
    assert one_json(told.out) == found
    assert told.err.startswith("check failed: ")


def test_the_shell_completes_commands_and_options(spawn, here, monkeypatch):
    for words, completed in (("nas sea", "search"), ("nas search --max-l", "--max-latency")):
        monkeypatch.setenv("_NAS_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        out, _ = spawn(cwd=here).communicate()
        assert out.split() == [completed]


def test_python_m_nas_is_nas(here):
    done = subprocess.run([sys.executable, "-m", "nas", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("nas 0.")


def test_a_bug_is_not_dressed_up(nas, here, monkeypatch):
    from nas.workflows import show

    def broken(thing, name, now):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(show, "show", broken)
    with pytest.raises(ZeroDivisionError):
        nas("show", "space")


def test_json_is_one_object_on_stdout_and_the_talk_is_on_stderr(nas, here, write_toy_table, one_json):
    write_toy_table(here)
    trained = nas(*SMALL_TRAINING, "--epochs", 1, "--run", "runs/a", "--json")
    assert trained.code == 0
    assert one_json(trained.out)["run"] == "runs/a"
    assert "seed 0" in trained.err
    searched = nas("search", "--device", "cpu", "--max-latency", "5ms", "--budget", 5, "--json")
    assert [row["id"] for row in one_json(searched.out)["fronts"]["cpu"]]
    planned = nas("search", "--device", "cpu", "--dry-run", "--json")
    assert one_json(planned.out)["dry_run"]["cpu"]["size"] == 48
    tuned = nas("finetune", "--pick", "smallest", "--epochs", 1, "--set", "batch_size=512", "--json")
    assert len(one_json(tuned.out)["models"]) == 1
    assert Path(one_json(nas("report", "--json").out)["report"]).is_file()
    for words in (["space"], ["space", "toy"], ["device", "cpu"], ["run"], ["run", "a"]):
        assert one_json(nas("show", *words, "--json").out)


def test_quiet_is_silent_on_stderr_and_still_gives_the_result(nas, here, write_toy_table):
    write_toy_table(here)
    tuning = ["finetune", "--pick", "smallest", "--epochs", 1, "--set", "batch_size=512"]
    for words in ([*SMALL_TRAINING, "--epochs", 1], ["search", "--device", "cpu", "--budget", 5], tuning):
        told = nas(*words, "--quiet")
        assert told.code == 0
        assert told.err == ""
        assert "next: nas " in told.out


@pytest.mark.slow
def test_quiet_is_silent_on_stderr_of_a_process_of_its_own(spawn, here, write_toy_table):
    write_toy_table(here)
    for words in ([*SMALL_TRAINING, "--epochs", 1], ["search", "--device", "cpu", "--budget", 5]):
        process = spawn(*words, "--quiet", cwd=here)
        out, err = process.communicate()
        assert process.returncode == 0
        assert err == ""
        assert out


def test_a_search_ends_with_the_front_and_the_next_command(nas, workspace):
    told = nas("search", "--device", "cpu", "--max-latency", "5ms", "--max-params", "300k", "--max-size", "2MB")
    assert told.code == 0
    first, second, *_, last = told.out.splitlines()
    assert "of 2 hand-designed patterns in the same weights" in second
    assert first.startswith("cpu: ")
    assert "(table of measured blocks, cpu onnxruntime fp32 batch 1; 90 % interval " in first
    assert "(validation)" in first
    assert last == "next: nas finetune --pick best"


def test_without_run_the_newest_run_is_used(nas, workspace):
    assert nas(*SMALL_TRAINING, "--epochs", 1, "--run", "runs/newer", "--quiet").code == 0
    assert nas("search", "--device", "cpu", "--budget", 3, "--quiet").code == 0
    assert Path("runs/newer/search/cpu/front.csv").is_file()
    assert not Path("runs/tiny/search").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["search", "--device", "cpu"], "nas search --device cpu --resume"),
        (["search", "--resume", "--device", "cpu"], "nas search --device cpu --resume"),
        (["profile", "--device", "my box"], "nas profile --device 'my box' --resume"),
        (["finetune", "--pick", "best"], "nas finetune --pick best"),
        (["demo"], "nas demo"),
        (["demo", "--run", "runs/a", "--minutes", "5"], "nas demo --minutes 5"),
        (["demo", "--minutes", "5", "--run=runs/a"], "nas demo --minutes 5"),
        ([], "nas"),
    ],
)
def test_the_command_that_resumes_is_one_that_exists(words, expected):
    assert resume_command(words) == expected


def test_control_c_exits_with_130_and_prints_the_command_that_resumes(nas, here, monkeypatch):
    from nas.workflows.train_supernet import command as train_supernet

    def interrupted(request, console):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_supernet, "train_supernet", interrupted)
    told = nas(*SMALL_TRAINING)
    assert told.code == 130
    assert told.err.splitlines()[-1] == f"interrupted; continue with: {shlex.join(['nas', *SMALL_TRAINING])} --resume"
    assert told.out == ""


@pytest.mark.slow
def test_control_c_in_a_training_is_resumed_by_the_command_it_prints(spawn, here):
    process = spawn(*SMALL_TRAINING, "--epochs", 40, cwd=here)
    while process.poll() is None and not any(here.glob("runs/*/training.jsonl")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    command = shlex.split(err.splitlines()[-1].removeprefix("interrupted; continue with: "))
    assert command[0] == "nas"
    (log,) = here.glob("runs/*/training.jsonl")
    epochs_done = len(log.read_text().splitlines())
    assert epochs_done < 40
    resumed = spawn(*command[1:], cwd=here)
    while resumed.poll() is None and len(log.read_text().splitlines()) <= epochs_done:
        time.sleep(0.01)
    resumed.send_signal(signal.SIGINT)  # it has forty epochs to go: that it goes on where it was is enough
    assert resumed.wait() == 130
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > epochs_done
