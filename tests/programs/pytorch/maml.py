"""MAML: gradients through an inner step of gradient descent, for sine waves."""

import numpy as np
import torch
import torch.nn.functional as F


def net(x, params):
    x = F.linear(x, params[0], params[1])
    x = F.relu(x)
    x = F.linear(x, params[2], params[3])
    x = F.relu(x)
    return F.linear(x, params[4], params[5])


def main():
    rng = np.random.RandomState(0)
    params = [
        torch.Tensor(20, 1).uniform_(-1.0, 1.0).requires_grad_(),
        torch.Tensor(20).zero_().requires_grad_(),
        torch.Tensor(20, 20).uniform_(-1.0 / np.sqrt(20), 1.0 / np.sqrt(20)).requires_grad_(),
        torch.Tensor(20).zero_().requires_grad_(),
        torch.Tensor(1, 20).uniform_(-1.0 / np.sqrt(20), 1.0 / np.sqrt(20)).requires_grad_(),
        torch.Tensor(1).zero_().requires_grad_(),
    ]
    for p in params:
        if p.dim() > 1:
            p.data.copy_(torch.from_numpy(rng.uniform(-1, 1, size=tuple(p.shape)) / np.sqrt(p.shape[1])))
    opt = torch.optim.SGD(params, lr=1e-2)
    n_inner_loop, alpha, curve = 2, 3e-2, []
    for _ in range(8):
        opt.zero_grad()
        total = 0
        for _ in range(2):
            a, b = rng.uniform(0.1, 5), rng.uniform(0, 2 * np.pi)
            x = rng.rand(10, 1) * 4 * np.pi - 2 * np.pi
            v_x, v_y = torch.from_numpy(x[:5]).float(), torch.from_numpy(a * np.sin(x[:5] + b)).float()
            t_x, t_y = torch.from_numpy(x[5:]).float(), torch.from_numpy(a * np.sin(x[5:] + b)).float()
            new_params = params
            for _ in range(n_inner_loop):
                loss = ((net(v_x, new_params) - v_y) ** 2).mean()
                grads = torch.autograd.grad(loss, new_params, create_graph=True)
                new_params = [(new_params[i] - alpha * grads[i]) for i in range(len(params))]
            loss = ((net(t_x, new_params) - t_y) ** 2).mean()
            loss.backward()
            total += loss.item()
        opt.step()
        curve.append(total)
    return curve, params
