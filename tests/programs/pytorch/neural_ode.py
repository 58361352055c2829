"""A neural ODE by Euler and Runge-Kutta steps, trained on a spiral, with a hypernetwork for time."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

torch.set_default_dtype(torch.float64)


class ODEFunc(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
        self.scale = nn.Sequential(nn.Linear(1, 2), nn.Softplus())
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.1)
                nn.init.constant_(m.bias, val=0)

    def forward(self, t, y):
        return self.net(y**3) * self.scale(t.reshape(1))


def odeint(func, y0, t, method):
    solution = torch.empty(len(t), *y0.shape, dtype=y0.dtype, device=y0.device)
    solution[0] = y0
    ys = [y0]
    for t0, t1 in zip(t[:-1], t[1:]):
        dt, y = t1 - t0, ys[-1]
        k1 = func(t0, y)
        if method == "euler":
            dy = dt * k1
        else:
            k2 = func(t0 + dt / 2, y + dt * k1 / 2)
            k3 = func(t0 + dt / 2, y + dt * k2 / 2)
            k4 = func(t1, y + dt * k3)
            dy = (k1 + 2 * k2 + 2 * k3 + k4) * dt / 6
        ys.append(y + dy)
    return torch.stack(ys)


def main(set_weights):
    true_A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
    true_y0 = torch.tensor([[2.0, 0.0]])
    t = torch.linspace(0.0, 2.0, 9)
    with torch.no_grad():
        true_y = odeint(lambda t, y: torch.mm(y**3, true_A) * 0.1, true_y0, t, "rk4")
    func = set_weights(ODEFunc())
    optimizer = optim.RMSprop(func.parameters(), lr=1e-2)
    losses = []
    for itr in range(8):
        optimizer.zero_grad()
        pred_y = odeint(func, true_y0, t, "euler" if itr % 2 else "rk4")
        loss = torch.mean(torch.abs(pred_y - true_y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, list(func.parameters())
