"""What a training writes down while it runs: a line of JSON each time, and TensorBoard when asked."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from allsight.errors import OutputError, TrainingError
from allsight.machine.packages import install_command


class Log:
    """`log.jsonl`, one JSON object a line, in the order in which things happened.

    Args:
        folder: of the run.
        keep: bytes of an earlier log to go on from; what was written after the checkpoint is cut off, since it happens
            again.
        step: that the checkpoint was written after.
        tensorboard: also write events to `folder/tensorboard`.
        enabled: false in all processes but one.

    Raises:
        OutputError: the file cannot be written.
        TrainingError: TensorBoard is asked for and not installed.
    """

    def __init__(
        self, folder: Path, *, keep: int = 0, step: int = 0, tensorboard: bool = False, enabled: bool = True
    ) -> None:
        self.path, self.enabled, self.events = folder / "log.jsonl", enabled, None
        if not enabled:
            return
        if tensorboard:
            self.events = _summary_writer(folder / "tensorboard", step + 1)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by __exit__
            self.file.truncate(min(keep, self.path.stat().st_size))
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror or error})") from error

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a line.

        Args:
            record: numbers, text, and dicts of them; `step` among them. What is not finite becomes null.
        """
        if not self.enabled:
            return
        try:
            self.file.write((json.dumps(_finite(record)) + "\n").encode())
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror or error}); make room and resume"
            ) from error
        if self.events:
            for name, value in _flat(record):
                self.events.add_scalar(name, value, record["step"])
            self.events.flush()

    @property
    def size(self) -> int:
        """Bytes written so far, which a checkpoint remembers."""
        return self.path.stat().st_size if self.enabled else 0

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.enabled:
            self.file.close()
        if self.events:
            self.events.close()


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """Read a `log.jsonl`.

    Args:
        path: of the file.

    Returns:
        one dict a line.
    """
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not know, by None."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """List the numbers in a record under names such as `losses/box`."""
    pairs: list[tuple[str, float]] = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and name != "step":
            pairs.append((prefix + name, value))
    return pairs


def _summary_writer(folder: Path, first: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except Exception as error:  # a broken installation raises more than ImportError
        raise TrainingError(f"TensorBoard is not installed; run: {install_command('track')}") from error
    return SummaryWriter(folder, purge_step=first)
