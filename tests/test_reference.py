"""The reference of the site has every public name, with a text."""

import importlib
import inspect
import os
import sys
from pathlib import Path

import pytest

import nbgrad as ng
import nbgrad.scipy

DOCS = Path(__file__).resolve().parent.parent / "docs"

pytest.importorskip("sphinx", reason="The site needs Sphinx, which the extra [docs] installs.")
sys.path.insert(0, str(DOCS / "scripts"))
public_names = importlib.import_module("public_names")
sys.path.remove(str(DOCS / "scripts"))


def test_every_public_namespace_has_a_page():
    others = {"nbgrad", "nbgrad.numpy", "nbgrad.numpy.linalg", "nbgrad.numpy.fft", "nbgrad.debug", "nbgrad.testing",
              "nbgrad.cuda", "nbgrad.mpi", "nbgrad.parallel", "nbgrad.benchmark"}  # fmt: skip
    of_scipy = {f"nbgrad.scipy.{name}" for name in nbgrad.scipy.SUBMODULES}
    assert set(public_names.NAMESPACES) == others | of_scipy
    listed = (DOCS / "reference/index.md").read_text()
    for namespace, page in public_names.NAMESPACES.items():
        assert f".. public-names:: {namespace}\n" in (DOCS / f"reference/{page}.md").read_text()
        assert f"\n{page}\n" in listed


@pytest.mark.parametrize("namespace", public_names.NAMESPACES)
def test_every_public_name_has_a_text(namespace):
    """Names that autodoc describes need a docstring; the others are described in the entry."""
    module = importlib.import_module(namespace)
    for name in module.__all__:
        head, *body = public_names.entry(namespace, name)
        assert f"{namespace}.{name}" in head
        if ".. auto" in head:
            assert getattr(module, name).__doc__, f"{namespace}.{name} has no docstring"
        else:
            assert any(line.strip() for line in body), f"{namespace}.{name} is not described"


def test_signatures_show_nothing_of_the_environment():
    """Defaults are written out in the reference."""
    modules = map(importlib.import_module, public_names.NAMESPACES)
    functions = [getattr(module, name) for module in modules for name in module.__all__]
    for shown in (type(ng.config), *filter(inspect.isfunction, functions)):
        assert os.environ["PATH"] not in str(inspect.signature(shown))


def test_the_build_warns_of_a_missing_name(monkeypatch):
    """Names are looked up in what was really documented."""
    said = []
    monkeypatch.setattr(public_names, "NAMESPACES", {"nbgrad.debug": "debug"})
    monkeypatch.setattr(public_names.logger, "warning", lambda text, *rest: said.append(text % rest))

    class Environment:
        domains = {"py": type("Domain", (), {"get_objects": lambda self: [("nbgrad.debug.draw",)]})()}  # noqa: RUF012

    public_names.nothing_is_missing(None, Environment())
    missing = {"nbgrad.debug." + name for name in ("explain", "nans", "profile")}
    assert {text.split()[0] for text in said} == missing
