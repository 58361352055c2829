"""Logistic regression with weight decay in the loss, and accuracy by thresholding."""

import numpy as np
import torch
import torch.nn as nn


class LogisticRegression(nn.Module):
    def __init__(self, n_inputs):
        super().__init__()
        self.linear = nn.Linear(n_inputs, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, 0.0)

    def forward(self, x):
        return torch.sigmoid(self.linear(x)).squeeze(-1)


def main():
    rng = np.random.RandomState(1)
    x = torch.tensor(rng.randn(200, 5), dtype=torch.float)
    y = (x[:, 0] - 2 * x[:, 3] > 0).float()
    model = LogisticRegression(5)
    criterion = nn.BCELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    history = []
    for _ in range(30):
        optimizer.zero_grad()
        output = model(x)
        loss = criterion(output, y) + 1e-3 * sum(p.pow(2).sum() for p in model.parameters())
        loss.backward()
        optimizer.step()
        accuracy = (output.round() == y).float().mean()
        history += [loss.item(), accuracy.item()]
    return history, list(model.parameters())
