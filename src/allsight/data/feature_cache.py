"""Features on disk: one safetensors file a picture, written whole or not at all, read by memory map."""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from allsight.errors import TrainingError
from allsight.files import atomic

_SUM = "crc32"


class FeatureCache:
    """A bounded folder of named tensors, by keys that say all that the tensors depend on.

    Args:
        folder: where the files lie; several runs may share it.
        limit: bytes of all files together; those longest unused make room for new ones, but never those that were asked
            for or written through this object.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.used: set[Path] = set()

    def path(self, key: str) -> Path:
        """Return the file of a key, a hash in hexadecimal digits."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def intact(self, key: str) -> bool | None:
        """Tell whether the tensors of a key are here as they were written; None if there is no such file."""
        path = self.path(key)
        self.used.add(path)
        try:
            content = path.read_bytes()
            os.utime(path)
            start = 8 + int.from_bytes(content[:8], "little")
            said = json.loads(content[8:start])["__metadata__"][_SUM]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return said == _checksum(content, start)

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> int:
        """Keep tensors, and return how many bytes they take.

        Raises:
            OutputError: they cannot be written, for a full disk say.
        """
        held = {name: tensor.contiguous() for name, tensor in tensors.items()}
        bare = safetensors.torch.save(held)
        content = safetensors.torch.save(held, {_SUM: _checksum(bare, 8 + int.from_bytes(bare[:8], "little"))})
        with atomic(self.path(key)) as temporary:
            temporary.write_bytes(content)
        self.used.add(self.path(key))
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
        found = sorted((s.st_mtime, s.st_size, p) for p in self.folder.glob("*/*.safetensors") for s in [p.stat()])
        least = sum(size for _, size, path in found if path in self.used) + needed
        if least > self.limit:
            raise TrainingError(
                f"{self.folder}: the features of this training need {least / 2**30:.2g} GiB and may take "
                f"{self.limit / 2**30:.2g}; raise --cache-gib, or take fewer --views or a smaller --longest"
            )
        excess = sum(size for _, size, _ in found) + needed - self.limit
        for _, size, path in found:
            if excess <= 0:
                break
            if path not in self.used:
                path.unlink(missing_ok=True)
                excess -= size


def _checksum(content: bytes, start: int) -> str:
    return f"{zlib.crc32(memoryview(content)[start:]):08x}"
