"""The disk cache: a warm process compiles nothing; what cannot be trusted is ignored and rebuilt."""

import json
import os
import subprocess
import sys

import pytest

from nbgrad.compile import cache, loader

PROGRAM = """
import json, sys
import numpy
import nbgrad as ng
import nbgrad.numpy as nx

x = numpy.linspace(-1, 1, 1000)
value, gradient = ng.jit(ng.value_and_grad(lambda x: nx.sum(nx.tanh(x) * x)))(x)
assert abs(float(value) - float(numpy.sum(numpy.tanh(x) * x))) < 1e-9
assert numpy.allclose(numpy.asarray(gradient), numpy.tanh(x) + x / numpy.cosh(x) ** 2)
facts = ng.stats()
facts["compilers"] = [m for m in ("numba", "llvmlite.binding", "importlib.metadata") if m in sys.modules]
print(json.dumps(facts))
"""


def start(folder, program=PROGRAM):
    environment = {**os.environ, "NBGRAD_CACHE_DIR": str(folder), "NBGRAD_JIT": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def facts(folder, program=PROGRAM):
    """What a fresh process counted."""
    process = start(folder, program)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return json.loads(out)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A folder that one process filled, and what that process counted."""
    folder = tmp_path_factory.mktemp("cache") / "kernels"
    return folder, facts(folder)


def copied(warm, tmp_path):
    """A private copy of the warm folder."""
    import shutil

    folder = tmp_path / "kernels"
    shutil.copytree(warm[0], folder)
    folder.chmod(0o700)
    return folder


def test_the_first_process_compiles(warm):
    folder, counted = warm
    assert counted["kernels_compiled"] > 0
    assert counted["kernels_loaded"] == 0
    assert len(list(folder.glob("*.o"))) == counted["kernels_compiled"]


def test_the_folder_is_private(warm):
    assert warm[0].stat().st_mode & 0o777 == 0o700


def test_a_second_process_compiles_nothing_and_loads_no_compiler(warm):
    counted = facts(warm[0])
    assert counted["kernels_compiled"] == 0
    assert counted["kernels_loaded"] == warm[1]["kernels_compiled"]
    assert counted["compilers"] == [] if loader.APPLIES else "numba" not in counted["compilers"]


def test_no_temporary_files_are_left(warm):
    assert [p.name for p in warm[0].iterdir() if p.suffix != ".o"] == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "headless", "swapped"])
def test_a_damaged_entry_is_rebuilt(warm, tmp_path, damage):
    folder = copied(warm, tmp_path)
    entries = sorted(folder.glob("*.o"))
    texts = [p.read_bytes() for p in entries]
    for k, (path, text) in enumerate(zip(entries, texts, strict=True)):
        path.write_bytes({
            "truncated": text[:-20],
            "flipped": text[:-20] + bytes([text[-20] ^ 1]) + text[-19:],
            "emptied": b"",
            "headless": text[48:],
            "swapped": texts[k - 1],  # whole and well-formed, under the name of another
        }[damage])  # fmt: skip
    counted = facts(folder)
    assert counted["kernels_loaded"] == 0
    assert counted["kernels_compiled"] == len(entries)
    assert facts(folder)["kernels_compiled"] == 0


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no owners and permissions of this kind")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_is_not_used(warm, tmp_path, mode):
    folder = copied(warm, tmp_path)
    folder.chmod(mode)
    counted = facts(folder)
    assert counted["kernels_loaded"] == 0
    assert counted["kernels_compiled"] > 0


def test_an_entry_of_another_user_is_not_used(warm, tmp_path, monkeypatch, settings):
    folder = copied(warm, tmp_path)
    settings.cache_dir = folder
    key = next(folder.glob("*.o")).stem
    assert cache.read(key) is not None
    owner = os.getuid()
    monkeypatch.setattr(cache, "folder", lambda: str(folder))
    monkeypatch.setattr(cache.os, "getuid", lambda: owner + 1)
    assert cache.read(key) is None


def test_a_folder_of_another_user_is_not_used(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(cache.os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    settings.cache_dir = tmp_path / "other"
    assert cache.folder() is None
    cache.write("key", b"code")
    assert cache.read("key") is None


def test_a_read_only_folder_is_read(warm, tmp_path):
    if os.getuid() == 0:
        pytest.skip("the superuser may write to read-only folders")
    folder = copied(warm, tmp_path)
    folder.chmod(0o500)
    assert facts(folder)["kernels_compiled"] == 0


def test_writing_where_one_cannot_is_no_error(tmp_path, monkeypatch, settings):
    settings.cache_dir = tmp_path / "kernels"

    def refuse(*args, **kwargs):
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(cache.tempfile, "mkstemp", refuse)
    cache.write("key", b"code")
    assert cache.read("key") is None


def test_a_path_that_is_a_file_switches_the_cache_off(tmp_path, settings):
    (tmp_path / "file").write_text("")
    settings.cache_dir = tmp_path / "file"
    assert cache.read("key") is None
    cache.write("key", b"code")


def test_an_empty_path_switches_the_cache_off(settings):
    settings.cache_dir = ""
    assert cache.folder() is None


def test_what_is_written_is_read(tmp_path, settings):
    settings.cache_dir = tmp_path / "kernels"
    cache.write("key", b"code")
    assert cache.read("key") == b"code"
    assert cache.read("another") is None


def test_two_processes_at_once(tmp_path):
    folder = tmp_path / "kernels"
    both = [start(folder) for _ in range(2)]
    for process in both:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    assert facts(folder)["kernels_compiled"] == 0


def test_importing_makes_no_folder(tmp_path):
    folder = tmp_path / "kernels"
    facts(folder, "import json; import nbgrad; print(json.dumps(nbgrad.stats()))")
    assert not folder.exists()


def test_importing_does_not_import_numba(tmp_path):
    counted = facts(
        tmp_path / "kernels", "import json, sys; import nbgrad; print(json.dumps({'numba': 'numba' in sys.modules}))"
    )
    assert not counted["numba"]


def test_the_key_of_a_kernel_changes_with_its_text():
    from nbgrad.compile import native

    def first(x):
        return x + 1.0

    def second(x):
        return x + 2.0

    assert native.fingerprint(first) != native.fingerprint(second)
