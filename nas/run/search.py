"""The folder of one search in a run: what it was asked, what it found. No other module knows its file names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nas.files import JsonObject, append_jsonl, read_json, write_csv, write_json
from nas.hardware.table.header import TableScope
from nas.run.evaluations import members_of, presets_of, read_evaluations
from nas.run.folder import next_number
from nas.run.search_settings import SearchSettings
from nas.search.evaluation_row import COLUMNS, EvaluationRow, FrontMember, JudgedNetwork, PresetRow


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRecord:
    """The content of search.json: what a search was asked, and digests of what it was made from."""

    device: str
    settings: SearchSettings
    after: tuple[str, ...]  # devices searched before in the same command, whose evaluations this search reuses
    weights_sha256: str
    table_sha256: str

    def to_json(self) -> JsonObject:
        """Return the object that search.json holds."""
        digests = {"weights_sha256": self.weights_sha256, "table_sha256": self.table_sha256}
        return {"device": self.device, **asdict(self.settings), "after": list(self.after), **digests}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSummary:
    """The content of front.json: what a finished search found.

    `sanity` holds figures of the search's worth, `table` what the latencies hold for.
    """

    number: int  # of the search, in the order in which searches of the run ended
    front: tuple[FrontMember, ...]  # by rising latency
    presets: tuple[PresetRow, ...]
    reference_point: JsonObject
    num_evaluations: int
    num_infeasible: int
    stopped_by: str
    sanity: JsonObject
    table: TableScope

    def to_json(self) -> JsonObject:
        """Return the object that front.json holds."""
        rows = {name: [row.to_row() for row in getattr(self, name)] for name in ("front", "presets")}
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**content, **rows, "table": asdict(self.table)}


@dataclass(frozen=True, slots=True)
class Search:
    """A search of a run, by its folder."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def evaluations_path(self) -> Path:
        """Return the path of evaluations.jsonl, from which a search is resumed."""
        return self.path / "evaluations.jsonl"

    @property
    def record_path(self) -> Path:
        """Return the path of search.json."""
        return self.path / "search.json"

    @property
    def summary_path(self) -> Path:
        """Return the path of front.json, which is written last."""
        return self.path / "front.json"

    @property
    def presets_path(self) -> Path:
        """Return the path of presets.jsonl: accuracies of presets that the search itself has not evaluated."""
        return self.path / "presets.jsonl"

    @property
    def hypervolume_path(self) -> Path:
        """Return the path of hypervolume.csv."""
        return self.path / "hypervolume.csv"

    @property
    def measured_path(self) -> Path:
        """Return the path of measured.json: networks of the front, measured as a whole."""
        return self.path / "measured.json"

    @property
    def is_finished(self) -> bool:
        """Whether the search has ended and written its front."""
        return self.summary_path.exists()

    @property
    def is_interrupted(self) -> bool:
        """Whether there are evaluations, but no front."""
        return self.evaluations_path.exists() and not self.is_finished

    def record(self) -> SearchRecord:
        """Read search.json."""
        content = read_json(self.record_path)
        return SearchRecord(
            device=content["device"],
            settings=SearchSettings.from_json(content),
            after=tuple(content.get("after", ())),
            weights_sha256=content["weights_sha256"],
            table_sha256=content["table_sha256"],
        )

    def write_record(self, record: SearchRecord) -> None:
        """Write search.json."""
        write_json(self.record_path, record.to_json())

    def evaluations(self, repair: bool = False) -> list[EvaluationRow]:
        """Read evaluations.jsonl; with `repair`, a last line that a kill cut short is dropped from the file."""
        return read_evaluations(self.evaluations_path, repair=repair)

    def append(self, row: EvaluationRow) -> None:
        """Append an evaluation to evaluations.jsonl."""
        append_jsonl(self.evaluations_path, row.to_row())

    def front(self) -> list[FrontMember]:
        """Read the front by rising latency; `NasError` where a member is damaged."""
        return members_of(read_json(self.summary_path), str(self.summary_path))

    def summary(self) -> SearchSummary:
        """Read front.json."""
        content = read_json(self.summary_path)
        return SearchSummary(
            number=content.get("number", 0),
            front=tuple(members_of(content, str(self.summary_path))),
            presets=tuple(presets_of(content)),
            reference_point=content["reference_point"],
            num_evaluations=content["num_evaluations"],
            num_infeasible=content["num_infeasible"],
            stopped_by=content["stopped_by"],
            sanity=content.get("sanity", {}),
            table=TableScope(**content["table"]),
        )

    def write_summary(self, summary: SearchSummary) -> None:
        """Write front.json."""
        write_json(self.summary_path, summary.to_json())

    def write_front(self, front: Sequence[JudgedNetwork]) -> None:
        """Write front.csv."""
        write_csv(self.path / "front.csv", [row.to_row() for row in front], COLUMNS)

    def write_presets(self, presets: Sequence[PresetRow]) -> None:
        """Write presets.csv."""
        write_csv(self.path / "presets.csv", [row.to_row() for row in presets], ("name", "source", *COLUMNS))

    def write_hypervolume(self, history: Sequence[tuple[int, float]]) -> None:
        """Write hypervolume.csv."""
        rows = [{"evaluations": count, "hypervolume": volume} for count, volume in history]
        write_csv(self.hypervolume_path, rows, ("evaluations", "hypervolume"))

    def measured_ms(self) -> dict[str, float]:
        """Read the measured latency of whole networks by id; none before `nas compare`."""
        if not self.measured_path.exists():
            return {}
        return {name: figures["ms"] for name, figures in read_json(self.measured_path).items()}

    def next_number(self) -> int:
        """Return the number that this search gets among those of its run."""
        return next_number(path for path in self.path.parent.glob("*/front.json") if path.parent != self.path)
