"""Features on disk: one safetensors file a picture, written whole or not at all, read by memory map."""

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from allsight.data.feature_uses import Uses
from allsight.errors import TrainingError
from allsight.files import atomic, clear_leavings

_SUM = "crc32"


class FeatureCache:
    """A bounded folder of named tensors, by keys that say all that the tensors depend on.

    Args:
        folder: where the files lie; several runs may share it.
        limit: bytes of all files together; those longest unused make room for new ones, but never those that a living
            process has asked for or written.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._uses = Uses(folder)

    def path(self, key: str) -> Path:
        """Return the file of a key, a hash in hexadecimal digits."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def intact(self, key: str) -> bool | None:
        """Tell whether the tensors of a key are here as they were written; None if there is no such file."""
        path = self.path(key)
        self._uses.add(key)
        try:
            content = path.read_bytes()
            os.utime(path)
            header, data = _parts(content)
            said = header.pop("__metadata__")[_SUM]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False
        return bool(said == _checksum(header, data))

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> int:
        """Keep tensors, and return how many bytes they take.

        Raises:
            OutputError: they cannot be written, for a full disk say.
        """
        held = {name: tensor.contiguous() for name, tensor in tensors.items()}
        content = safetensors.torch.save(held, {_SUM: _checksum(*_parts(safetensors.torch.save(held)))})
        self._uses.add(key)
        with atomic(self.path(key)) as temporary:
            temporary.write_bytes(content)
        return len(content)

    def read(self, key: str, names: Sequence[str]) -> list[Tensor]:
        """Return the named tensors of a key; only their part of the file is read.

        Raises:
            TrainingError: the file has gone since it was looked at.
        """
        path = self.path(key)
        try:
            with safetensors.safe_open(path, "pt") as file:
                return [file.get_tensor(name) for name in names]
        except (OSError, safetensors.SafetensorError) as error:
            raise TrainingError(f"{path}: cached features have gone or changed; run the command again") from error

    def make_room(self, needed: int) -> None:
        """Remove the files that were not used for the longest time until so many bytes more are within the limit.

        Args:
            needed: bytes that will be written.

        Raises:
            TrainingError: what is in use and what will be written is more than the limit; nothing is removed then.
        """
        for folder in self.folder.glob("??"):
            clear_leavings(folder)
        found = sorted(self._files())
        used = self._uses.of_all()
        least = sum(size for _, size, path in found if path.stem in used) + needed
        if least > self.limit:
            raise TrainingError(
                f"{self.folder}: the features of this training need {least / 2**30:.2g} GiB, with what other "
                f"runs use, and may take {self.limit / 2**30:.2g}; raise --cache-gib, "
                "or take fewer --views or a smaller --longest"
            )
        excess = sum(size for _, size, _ in found) + needed - self.limit
        for _, size, path in found:
            if excess <= 0:
                break
            if path.stem not in used:
                path.unlink(missing_ok=True)
                excess -= size

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Give time, size and place of every file that is still there when it is looked at."""
        for path in self.folder.glob("??/*.safetensors"):
            with suppress(FileNotFoundError):  # another run has just made room
                about = path.stat()
                yield about.st_mtime, about.st_size, path


def _parts(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return what a safetensors file says of its tensors, and their bytes."""
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), memoryview(content)[start:]


def _checksum(header: Mapping[str, Any], data: memoryview) -> str:
    """Of the bytes and of what they mean: a damaged header would give other tensors."""
    return f"{zlib.crc32(data, zlib.crc32(json.dumps(header, sort_keys=True).encode())):08x}"
