"""Sources that tests have emulated are compiled for real GPUs, and what NVRTC does not take is reported."""

from __future__ import annotations

import pytest

from tests.cuda import nvrtc, toolchain

pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")

PRELUDE = f"__device__ float twice(float x) {{ return 2 * x; }}\n{toolchain.END}\n"
GOOD = 'extern "C" __global__ void {name}(float* x) {{ x[threadIdx.x] = twice(x[threadIdx.x]); }}\n'


def write(folder, **codes):
    for name, code in codes.items():
        (folder / f"{name}.cu").write_text(f"// options: -std=c++17\n{PRELUDE}{code}")
    return str(folder)


def test_right_kernels_are_compiled_together(tmp_path, capsys):
    folder = write(tmp_path, **{name: GOOD.format(name=name) for name in ("a", "b", "c")})
    assert nvrtc.main([folder]) == 0
    out = capsys.readouterr().out
    assert "3 kernels in 3 sources for sm_90, some of them for sm_80 and sm_100, in" in out
    assert "0 rejected" in out
    assert len(nvrtc.batches([nvrtc.read(path) for path in sorted(tmp_path.glob("*.cu"))])) == 1


def test_every_source_is_compiled_for_the_measured_architecture():
    made = [((), "", [str(number)]) for number in range(11)]
    for every in (False, True):
        work = nvrtc.chosen(made, every=every)
        codes = {name: [batch[2][0] for batch, one in work if one == name] for name in nvrtc.ARCHITECTURES}
        assert codes["sm_90"] == [str(number) for number in range(11)]
        assert codes["sm_80"] == (codes["sm_90"] if every else ["0", "4", "8"])
        assert codes["sm_100"] == (codes["sm_90"] if every else ["1", "5", "9"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("x[0] = nothing;", "nothing"),
        ("float y; x[0] = y;", "is used before its value is set"),  # a warning
        ("__shared__ float s[20000]; s[threadIdx.x] = x[0]; __syncthreads(); x[0] = s[x[1] > 0];", "shared data"),
        ("x[0] = INFINITY;", "INFINITY"),  # a header's
    ],
)
def test_the_one_to_blame_is_printed(tmp_path, capsys, wrong, words):
    bad = f'extern "C" __global__ void bad(float* x) {{ {wrong} }}\n'
    folder = write(tmp_path, a=GOOD.format(name="a"), bad=bad, c=GOOD.format(name="c"))
    assert nvrtc.main([folder, "--all"]) == 1
    out, err = capsys.readouterr()
    assert "3 rejected" in out  # for each architecture
    assert words in err
    assert "void bad(" in err
    assert "void a(" not in err


ARRAY = "float kept[32]; for (int i = 0; i < 99; ++i) kept[(int)x[i] & 31] = x[i + 1]; x[0] = kept[(int)x[40] & 31];"
SPILLS = """
double kept[48];
#pragma unroll
for (int i = 0; i < 48; ++i) kept[i] = ((double*)x)[i * 1024 + threadIdx.x];
__syncthreads();
#pragma unroll
for (int i = 0; i < 48; ++i) ((double*)x)[threadIdx.x] += kept[i] * kept[47 - i];
"""


@pytest.mark.parametrize("wrong", [ARRAY, SPILLS], ids=["an array", "spills"])
def test_local_memory_that_nothing_explains_is_a_failure(tmp_path, capsys, wrong):
    bad = f'extern "C" __global__ void __launch_bounds__(1024) bad(float* x) {{ {wrong} }}\n'
    folder = write(tmp_path, a=GOOD.format(name="a"), bad=bad)
    assert nvrtc.main([folder]) == 1
    out, err = capsys.readouterr()
    assert "1 rejected" in out
    assert "-- local memory --\nbad: " in err
    assert "void a(" not in err


def test_some_local_memory_is_to_be_expected(tmp_path, capsys):
    sine = GOOD.format(name="sine").replace("twice(", "sinf(")
    assert nvrtc.main([write(tmp_path, a=sine)]) == 0
    assert "on sm_90, 0 of 1 kernels spill" in capsys.readouterr().out
    usage = nvrtc.Usage("f", 40, 0, 32)
    assert usage.explained("y = sinf(x);")
    assert not usage.explained("y = x;")
    assert nvrtc.Usage("f", 16, 16, 32).explained("y = x;")
    calls = nvrtc.Usage("f", 32, 0, 32)
    assert calls.explained("y = pow(x, 2.5);")
    assert not calls.explained("y = powf(x, 2.5f);")


def test_equal_names_are_not_compiled_together(tmp_path):
    folder = write(tmp_path, a=GOOD.format(name="same"), b=GOOD.format(name="same"))
    assert nvrtc.main([folder]) == 0


def test_nothing_recorded_is_a_failure(tmp_path, capsys):
    assert nvrtc.main([str(tmp_path)]) == 1
    assert "no source was recorded" in capsys.readouterr().err
