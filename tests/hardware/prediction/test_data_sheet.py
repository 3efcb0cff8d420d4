from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import NasError
from nas.hardware.prediction.data_sheet import device_name, load_spec, read_spec, spec_files

GOOD = """title: A board
aliases: [board]
peak_tflops: {fp32: 10, fp16: 20}
bandwidth_gb_s: 100
l2_mb: 4
sms: 16
boost_ghz: 1.3
power_w: 15
launch_us: 5
host_launch_us: 10
sources: [its page]
unverified: [fp16, sms]
"""


def sheet(folder: Path, text: str = GOOD) -> Path:
    path = folder / "latency_tables" / "the-board" / "device.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_the_shipped_devices_have_data_sheets_with_sources() -> None:
    wanted = (
        "a100-sxm4-40gb",
        "a100-sxm4-80gb",
        "h100",
        "h200",
        "l4",
        "t4",
        "v100",
        "rtx3090",
        "rtx4090",
        "jetson-orin",
    )
    assert set(wanted) <= spec_files().keys()
    for name in wanted:
        spec = load_spec(name)
        assert spec.name == name and spec.sources and spec.peak("fp16") > spec.peak("fp32")


def test_no_two_devices_answer_to_one_name() -> None:
    names = [name for device in spec_files() for name in (device, *load_spec(device).aliases)]
    assert len(names) == len(set(names))


def test_an_alias_stands_for_its_device_and_any_other_name_for_itself() -> None:
    assert device_name("a100") == "a100-sxm4-80gb" == load_spec("a100").name
    assert device_name("a100-40gb") == "a100-sxm4-40gb"
    assert device_name("l4") == "l4"
    assert device_name("cpu") == "cpu"
    assert load_spec("a100").bandwidth_gb_s == 2039 and load_spec("a100-40gb").bandwidth_gb_s == 1555


def test_sparse_peaks_are_not_taken_for_dense_ones() -> None:
    ratio = {name: load_spec(name).peak("fp16") / load_spec(name).peak("fp32") for name in spec_files()}
    assert all(1.9 < each <= 16.1 for each in ratio.values()), ratio


def test_a_data_sheet_of_the_user_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet(tmp_path)
    monkeypatch.chdir(tmp_path)
    spec = load_spec("board")
    assert (spec.name, spec.peak_tflops) == ("the-board", {"fp32": 10.0, "fp16": 20.0})
    with pytest.raises(NasError, match=r"does not compute in bf16.*Did you mean"):
        spec.peak("bf16")


def test_an_unknown_device_is_refused_with_the_close_one() -> None:
    with pytest.raises(NasError, match="Did you mean 'a100'"):
        load_spec("a10")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("title: A board\n", "", "lacks 'title'"),
        ("sms: 16", "sms: 16\nsm: 16", "no key 'sm'"),
        ("bandwidth_gb_s: 100", "bandwidth_gb_s: 0", "line 4: bandwidth_gb_s 0 must be a positive number"),
        ("bandwidth_gb_s: 100", "bandwidth_gb_s: .nan", "bandwidth_gb_s nan must be"),
        ("bandwidth_gb_s: 100", "bandwidth_gb_s: 100 GB/s", "must be a positive number"),
        ("fp16: 20", "fp17: 20", "Did you mean 'fp16'"),
        ("fp32: 10, ", "", "lacks 'fp32'"),
        ("aliases: [board]", "aliases: board", "aliases must be a list"),
        ("sources: [its page]", "sources: []", "needs a source"),
        ("unverified: [fp16, sms]", "unverified: [fp16, smz]", "Did you mean 'sms'"),
        ("title: A board", "title: [", "is not YAML"),
    ],
)
def test_a_wrong_data_sheet_is_refused_and_the_fault_named(old: str, new: str, word: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(NasError) as caught:
        read_spec(sheet(tmp_path, GOOD.replace(old, new)))
    assert word in str(caught.value)
