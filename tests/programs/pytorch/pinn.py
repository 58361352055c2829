"""A physics-informed network for u'' = -pi^2 sin(pi x): derivatives of the network in its input."""

import numpy as np
import torch
import torch.nn as nn

torch.set_default_dtype(torch.float64)


class PINN(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.activation = nn.Tanh()
        self.linears = nn.ModuleList([nn.Linear(layers[i], layers[i + 1]) for i in range(len(layers) - 1)])
        for layer in self.linears:
            nn.init.xavier_normal_(layer.weight.data, gain=1.0)
            nn.init.zeros_(layer.bias.data)

    def forward(self, x):
        if not torch.is_tensor(x):
            x = torch.from_numpy(x)
        a = x
        for layer in self.linears[:-1]:
            a = self.activation(layer(a))
        return self.linears[-1](a)


def main(set_weights):
    model = set_weights(PINN([1, 12, 12, 1]))
    x = torch.linspace(-1, 1, steps=20).reshape(-1, 1)
    x.requires_grad = True
    x_b = np.array([[-1.0], [1.0]])
    u_b = torch.zeros(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        u = model(x)
        u_x = torch.autograd.grad(u, x, torch.ones_like(u), retain_graph=True, create_graph=True)[0]
        u_xx = torch.autograd.grad(u_x, x, torch.ones_like(u_x), create_graph=True)[0]
        f = u_xx + np.pi**2 * torch.sin(np.pi * x)
        loss = torch.mean(f**2) + nn.functional.mse_loss(model(x_b), u_b)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, list(model.parameters())
