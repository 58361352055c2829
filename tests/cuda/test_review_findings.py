"""What a review of the CUDA kernels and of compiled steps has found, so that it does not come back."""

import importlib

import numpy as np
import pytest

import gradengine as ge

pytestmark = pytest.mark.cuda


def test_batches_of_one_sample_come_in_the_order_that_is_given(rng: np.random.Generator) -> None:
    samples = rng.normal(size=(20, 3)).astype(np.float32)
    order = rng.permutation(20)
    ge.set_default_device("cuda")
    step = ge.jit(lambda x: (x * 2.0).sum())
    found = step.over(ge.tensor(samples), batch_size=1, order=order)
    np.testing.assert_allclose(found.numpy(), (samples[order] * 2).sum(1), rtol=1e-6)


def test_far_apart_elements_of_a_large_array_are_found_by_wide_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    pointwise = importlib.import_module("gradengine_kernels.cupy_cuda.pointwise_kernels")
    monkeypatch.setattr(pointwise, "WIDE", 1000)  # as if the array had so many elements that an int cannot count them
    for size, step, wide in ((900, 100, False), (1300, -600, True), (1300, 600, True)):
        kernel = pointwise.pointwise("twice", lambda k, x: x * 2.0, 1, lambda x: None)
        x = cupy.arange(size, dtype=np.float32)[::step]
        np.testing.assert_array_equal(kernel(x).get(), x.get() * 2)
        (plan,) = kernel.fused.plans.values()
        assert ("typedef i64 idx" in plan.source.code) is wide, step
