"""Without a GPU: what is missing is said, with what to do."""

import builtins
import re
import subprocess
import sys
import types

import pytest

import nbgrad as ng
from nbgrad.runtime.cuda import device as cuda
from nbgrad.runtime.cuda import driver, link

EXTRA = r"pip install nbgrad\[cuda13\] \(or nbgrad\[cuda12\] for an older driver\)"


class Status:
    """A CUresult."""

    def __init__(self, name):
        self.name = name


SUCCESS, NO_DEVICE, OTHER = Status("CUDA_SUCCESS"), Status("CUDA_ERROR_NO_DEVICE"), Status("CUDA_ERROR_UNKNOWN")


def bindings(init):
    """A module like cuda.bindings.driver whose cuInit answers so."""
    made = types.ModuleType("cuda.bindings.driver")
    made.CUresult = types.SimpleNamespace(CUDA_SUCCESS=SUCCESS, CUDA_ERROR_NO_DEVICE=NO_DEVICE)
    made.cuInit = init
    made.cuDeviceGetCount = lambda: (SUCCESS, 2)
    return made


@pytest.fixture
def machine(monkeypatch):
    """A machine on which every part is there; returns a function that replaces what imports give."""
    known = {}

    def importing(name, *arguments, original=builtins.__import__):
        chosen = arguments[2] if len(arguments) > 2 and arguments[2] else ()
        wanted = [m for m in known if m == name or (m.rpartition(".")[0] == name and m.rpartition(".")[2] in chosen)]
        for module in wanted:
            if isinstance(known[module], Exception):
                raise known[module]
            return types.SimpleNamespace(**{module.rpartition(".")[2]: known[module]})
        return original(name, *arguments)

    def have(**parts):
        known["cuda.bindings.driver"] = parts.get("bindings", bindings(lambda flags: (SUCCESS,)))
        known["numba.cuda"] = parts.get("numba", types.SimpleNamespace(implementation="NVIDIA"))

        def library(name):
            if name in parts:
                raise parts[name]

        monkeypatch.setattr(link, "library", library)
        return parts

    monkeypatch.setattr(builtins, "__import__", importing)
    monkeypatch.setattr(cuda, "_devices", {})
    monkeypatch.setattr(cuda, "why_not", driver.missing)
    monkeypatch.setattr(cuda, "count_drivers", driver.count)
    have()
    return have


def refused():
    """What asking for a device says, on every way in."""
    said = set()
    for ask in (
        lambda: ng.asarray([1.0], device="cuda"), lambda: ng.zeros(3, device="cuda:0"),
        lambda: ng.asarray([1.0]).to("cuda"), lambda: ng.cuda.Stream(), ng.cuda.memory_info,
    ):  # fmt: skip
        with pytest.raises(ng.DeviceError) as caught:
            ask()
        said.add(str(caught.value).partition(": ")[2])
    assert len(said) == 1
    assert not ng.cuda.is_available()
    assert ng.cuda.device_count() == 0
    assert said.pop().endswith(ng.cuda.why_not_available())
    return str(caught.value)


def matches(pattern):
    message = refused()
    assert re.search(pattern, message), message


def test_nothing_is_missing(machine):
    assert driver.missing() is None
    assert ng.cuda.device_count() == 2
    assert ng.cuda.is_available()
    assert ng.cuda.why_not_available() is None


def test_without_the_bindings(machine):
    machine(bindings=ModuleNotFoundError("No module named 'cuda'"))
    matches(
        r"device 'cuda:0' is not to be had: the package cuda.bindings is missing \(No module named 'cuda'\); install "
        r"NVIDIA's packages for Python: " + EXTRA
    )


def test_without_numba_cuda(machine):
    machine(numba=ModuleNotFoundError("No module named 'numba.cuda'"))
    matches(r"the package numba-cuda is missing \(No module named 'numba.cuda'\); .*" + EXTRA)


def test_with_the_target_that_numba_has_itself(machine):
    machine(numba=types.SimpleNamespace(implementation="Built-in"))
    matches(r"the package numba-cuda is missing \(Numba's own CUDA target is not enough\); .*" + EXTRA)


def test_without_a_library_that_numba_cuda_loads(machine):
    class DynamicLibNotFoundError(RuntimeError):
        pass

    machine(numba=DynamicLibNotFoundError("Failure finding\n  libcudart.so"))
    matches(r"a library of the CUDA toolkit is missing \(Failure finding libcudart.so\); .*" + EXTRA)


@pytest.mark.parametrize("name", ["nvvm", "nvjitlink"])
def test_without_a_library_of_the_toolkit(machine, name):
    machine(**{name: RuntimeError(f"Failure finding lib{name}.so")})
    matches(rf"a library of the CUDA toolkit is missing \({name}: Failure finding lib{name}.so\); .*" + EXTRA)


def test_without_the_driver(machine):
    def init(flags):
        raise RuntimeError('"cuda" is an NVIDIA driver library. ' + "x" * 400)

    machine(bindings=bindings(init))
    matches(
        r"NVIDIA's driver is missing \(\"cuda\" is an NVIDIA driver library. x{100,130}\.\.\.\); install the driver of "
        r"the GPU, which is not a Python package"
    )


def test_without_a_gpu(machine):
    machine(bindings=bindings(lambda flags: (NO_DEVICE,)))
    matches("NVIDIA's driver finds no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES")


def test_with_a_driver_that_does_not_start(machine):
    machine(bindings=bindings(lambda flags: (OTHER,)))
    matches(r"NVIDIA's driver does not start \(CUDA_ERROR_UNKNOWN\); look at nvidia-smi")


def test_a_device_that_is_not_there(machine):
    with pytest.raises(
        ng.DeviceError, match="asarray: device 'cuda:2' does not exist here, expected 'cuda:0' to 'cuda:1'"
    ):
        ng.asarray([1.0], device="cuda:2")


def test_the_host_is_no_cuda_device(machine):
    with pytest.raises(ng.DeviceError, match="Stream: device 'cpu' is not a CUDA device, expected 'cuda'"):
        ng.cuda.Stream("cpu")


def test_this_machine():
    """Whatever is here: either a device works, or one error says why not."""
    why = ng.cuda.why_not_available()
    if why is None:
        pytest.skip("This machine has a CUDA device.")
    with pytest.raises(ng.DeviceError) as caught:
        ng.asarray([1.0], device="cuda")
    assert str(caught.value) == f"asarray: device 'cuda:0' is not to be had: {why}"
    assert "\n" not in why


#: What does not need a device.
USE = "; x = nbgrad.asarray([1.0]); print(x + 1); x.device; hasattr(x, '__cuda_array_interface__')"


def imported(code, *names):
    """Modules under these names that are there after some code ran in a new process."""
    look = f"[m for m in sys.modules if (m + '.').startswith({names!r})]"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, nbgrad, nbgrad.numpy{code}; print('found', *{look})"],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("code", ["", USE], ids=["import", "use"])
def test_nothing_of_cuda_is_imported_before_a_device_is_asked_for(code):
    """Neither NVIDIA's packages nor our own."""
    assert imported(code, "cuda.", "numba.cuda.", "nbgrad.runtime.cuda.", "nbgrad.cuda.") == []


def test_the_namespace_imports_nothing_of_nvidia():
    assert imported("; nbgrad.cuda", "cuda.", "numba.") == []
    assert "nbgrad.runtime.cuda.pool" in imported("; nbgrad.cuda", "nbgrad.runtime.cuda.")
