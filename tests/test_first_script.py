"""PyTorch's well-known first script, with nothing changed but its imports, gives PyTorch's losses."""

import textwrap
from types import ModuleType
from typing import Any

import numpy as np
import pytest

SCRIPT = """
    class LinearRegression(nn.Module):
        def __init__(self):
            super(LinearRegression, self).__init__()
            self.linear = nn.Linear(1, 1)

        def forward(self, x):
            return self.linear(x)

    x_train = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    y_train = torch.tensor([[2.0], [4.0], [6.0], [8.0]])

    model = LinearRegression()
    prepare(model)
    criterion = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.01)

    num_epochs = 100
    losses = []
    for epoch in range(num_epochs):
        model.train()
        outputs = model(x_train)
        loss = criterion(outputs, y_train)

        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()

        losses.append(loss.item())
        if (epoch + 1) % 10 == 0:
            print(f"Epoch [{epoch + 1}/{num_epochs}], Loss: {loss.item():.4f}")

    model.eval()
    with torch.no_grad():
        predicted = model(torch.tensor([[5.0]]))
        print(f"Prediction for 5: {predicted.item():.4f}")
    weight, bias = model.linear.weight.item(), model.linear.bias.item()
"""


def run(imports: str, weight: float, bias: float) -> dict[str, Any]:
    """The script's variables after it ran, from the given weight and bias."""

    def prepare(model: Any) -> None:
        values = {"linear.weight": np.full((1, 1), weight, np.float32), "linear.bias": np.full(1, bias, np.float32)}
        tensor = scope["torch"].tensor
        model.load_state_dict({name: tensor(value) for name, value in values.items()})

    scope: dict[str, Any] = {"prepare": prepare}
    exec(imports + textwrap.dedent(SCRIPT), scope)
    return scope


IMPORTS = "import torch\nimport torch.nn as nn\nimport torch.optim as optim\n"
OURS = "import gradengine as torch\nimport gradengine.nn as nn\nimport gradengine.optim as optim\n"


@pytest.mark.torch
def test_losses_equal_pytorchs(backend: str, torch: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for weight, bias in ((-0.4821, 0.3115), (0.9034, -0.7712)):
        expected = run(IMPORTS, weight, bias)
        printed = capsys.readouterr().out
        actual = run(OURS, weight, bias)
        assert capsys.readouterr().out == printed
        assert len(actual["losses"]) == 100
        np.testing.assert_allclose(actual["losses"], expected["losses"], rtol=1e-6, atol=1e-6)
        assert actual["weight"] == pytest.approx(expected["weight"], abs=1e-6)
        assert actual["bias"] == pytest.approx(expected["bias"], abs=1e-6)


def test_it_learns_from_its_own_initial_weights(backend: str) -> None:
    scope: dict[str, Any] = {"prepare": lambda model: None}
    exec(OURS + textwrap.dedent(SCRIPT), scope)
    assert all(after < before for before, after in zip(scope["losses"], scope["losses"][1:], strict=False))
