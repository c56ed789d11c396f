"""The documentation is run: code blocks of the texts in order, and the examples of every docstring."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nbgrad
import nbgrad.kernels

ROOT = Path(__file__).resolve().parent.parent
MADE = ("_build", "gallery")  # folders that building the site makes
PAGES = [p for p in sorted((ROOT / "docs").rglob("*.md")) if p.relative_to(ROOT / "docs").parts[0] not in MADE]
GUIDES = [p for p in PAGES if p.name.startswith("from_")]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXCERPT = re.compile(r"^```python (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATHS = [pytest.param(p, id=str(p.relative_to(ROOT))) for p in TEXTS]
ROW = re.compile(r"^\| [^|]* \| [^|`]*`([^`|]+)`[^|]* \| [^|]*\|$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def blocks(path):
    """(first line, text) of every Python block."""
    text = path.read_text()
    for match in BLOCK.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1)


def links(path):
    """Where the links of a text lead, apart from what looks like one in code."""
    return LINK.findall(CODE.sub("", path.read_text()))


#: Modules that only a process of their own can import.
ELSEWHERE = {"nbgrad.testing.simulator"}


def modules():
    """Names of all modules of the package, kernels included."""
    for package in (nbgrad, nbgrad.kernels):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if found.name not in ELSEWHERE:
                yield found.name
        yield package.__name__


@pytest.mark.parametrize("path", PATHS)
def test_code_blocks(path, tmp_path, monkeypatch):
    """Blocks of one text share their names, as a reader who types them would have them."""
    monkeypatch.chdir(tmp_path)  # what an example writes, it writes there
    parser, runner, names = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=OPTIONS), {}
    said = []
    for line, source in blocks(path):
        where = f"{path.relative_to(ROOT)}:{line}"
        if ">>>" not in source:
            exec(compile("\n" * line + source, str(path), "exec"), names)
            continue
        test = parser.get_doctest(source, names, where, str(path), line)
        runner.run(test, out=said.append, clear_globs=False)
        names = test.globs
    assert not said, "".join(said)


@pytest.mark.parametrize("path", PATHS)
def test_excerpts(path):
    """A block that names a file is cut from that file, apart from spaces."""

    def squeezed(text):
        return re.sub(r",(?=[)\]}])", "", re.sub(r"\s+", "", text))

    for name, source in EXCERPT.findall(path.read_text()):
        assert squeezed(source).rstrip(",") in squeezed((ROOT / name).read_text()), f"not in {name}:\n{source}"


@pytest.mark.parametrize("name", sorted(set(modules())))
def test_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("path", [*PATHS, pytest.param(ROOT / "kernels/README.md", id="kernels/README.md")])
def test_links(path):
    """Links inside the repository lead somewhere."""
    targets = [t for t in links(path) if "://" not in t and not t.startswith("mailto:")]
    assert [t for t in targets if not os.path.exists(path.parent / t)] == []


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in GUIDES])
def test_tables_of_the_guides_run(path, tmp_path, monkeypatch):
    """Code in the second column, with the names that the first block of the page makes."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in doctest.DocTestParser().get_examples(next(blocks(path))[1]):
        exec(example.source, names)
    rows = ROW.findall(path.read_text())
    assert len(rows) >= 20
    for code in rows:
        try:
            exec(code, dict(names))
        except Exception as error:
            error.add_note(f"in the row of {code}")
            raise


def test_every_text_is_reached_from_the_index():
    """But for the pages that are for the site alone: its menus, and those that include a text of the root."""
    seen, ahead = set(), [ROOT / "docs/index.md"]
    while ahead:
        page = ahead.pop()
        seen.add(page)
        linked = {(page.parent / target).resolve() for target in links(page) if "://" not in target}
        ahead += linked & set(PAGES) - seen
    ours = {p for p in PAGES if not re.search(r"^```{(toctree|include|eval-rst)}", p.read_text(), re.MULTILINE)}
    assert ours - seen == set()


def test_every_public_error_has_an_entry():
    from nbgrad import errors

    text = (ROOT / "docs/errors.md").read_text()
    classes = [n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, errors.NbgradError)]
    assert [n for n in classes if f"## {n}" not in text] == []


@pytest.mark.parametrize("name", ["coverage_table", "function_table"])
def test_tables_are_those_of_the_registry(name):
    """In a process of its own: other tests declare primitives, and functions import what they need."""
    code = f"import {name} as made; assert made.PAGE.read_text() == made.page(), 'run: python docs/scripts/{name}.py'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "docs" / "scripts", check=True)
