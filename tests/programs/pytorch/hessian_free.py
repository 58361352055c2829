"""Second order by hand: Hessian-vector products, conjugate gradients, an exact Hessian of a small model."""

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def main(set_weights):
    torch.set_default_dtype(torch.float64)
    model = set_weights(nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1)).double())
    x = torch.stack([torch.sin(torch.arange(12.0)), torch.cos(torch.arange(12.0) * 2)], dim=1)
    y = (x[:, 0] * x[:, 1]).unsqueeze(1)
    params = list(model.parameters())
    loss_of = lambda: nn.functional.mse_loss(model(x), y) + 1e-2 * sum(p.square().sum() for p in params)
    curve = []
    for _ in range(4):
        loss = loss_of()
        grads = torch.autograd.grad(loss, params, create_graph=True)
        flat = torch.cat([g.reshape(-1) for g in grads])

        def hvp(v):
            out = torch.autograd.grad(flat @ v, params, retain_graph=True)
            return parameters_to_vector(out) + 0.1 * v

        b = -flat.detach()
        d, r = torch.zeros_like(b), b.clone()
        p = r.clone()
        for _ in range(5):
            hp = hvp(p)
            alpha = torch.dot(r, r) / torch.dot(p, hp)
            d.add_(p, alpha=alpha.item())
            new = r - alpha * hp
            if new.norm() < 1e-10:
                break
            p = new + (new.dot(new) / r.dot(r)) * p
            r = new
        with torch.no_grad():
            vector_to_parameters(parameters_to_vector(params) + d, params)
        curve.append(loss.item())
    loss = loss_of()
    grads = torch.autograd.grad(loss, params, create_graph=True)
    flat = torch.cat([g.flatten() for g in grads])
    hessian = torch.stack(
        [parameters_to_vector(torch.autograd.grad(g, params, retain_graph=True, materialize_grads=True)) for g in flat]
    )
    curve += [loss.item(), (hessian - hessian.mT).abs().max().item() + 1, torch.trace(hessian).item()]
    return curve, [hessian, *params]
