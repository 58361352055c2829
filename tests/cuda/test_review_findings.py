"""What a review of the CUDA kernels and of compiled steps has found, so that it does not come back."""

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
