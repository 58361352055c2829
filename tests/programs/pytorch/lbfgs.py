"""Fitting a curve with L-BFGS and a closure, then the Rosenbrock valley."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

torch.set_default_dtype(torch.float64)


def rosenbrock(xy):
    x, y = xy
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def main(set_weights):
    t = torch.from_numpy(np.linspace(0, 1, 20)).view(-1, 1)
    target = torch.sin(2 * np.pi * t)
    net = set_weights(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)))
    optimizer = optim.LBFGS(net.parameters(), lr=0.8, max_iter=5)
    losses = []
    for _ in range(4):

        def closure():
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(t), target)
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
    xy = torch.tensor([-1.5, 2.0], requires_grad=True)
    search = optim.LBFGS([xy], history_size=10, max_iter=10, line_search_fn="strong_wolfe")

    def evaluate():
        search.zero_grad()
        objective = rosenbrock(xy)
        objective.backward()
        return objective

    for _ in range(3):
        losses.append(search.step(evaluate).item())
    return losses, [xy, *net.parameters()]
