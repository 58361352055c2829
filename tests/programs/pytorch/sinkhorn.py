"""Optimal transport by Sinkhorn iterations in log space; moving points along its gradient."""

import torch


def sinkhorn(x, y, eps=0.1, iters=15):
    cost = torch.cdist(x, y, p=2.0) ** 2
    n, m = cost.shape
    log_a = -torch.log(torch.tensor(float(n))).expand(n)
    log_b = torch.full((m,), 1.0 / m).log()
    f, g = torch.zeros(n), torch.zeros_like(log_b)
    for _ in range(iters):
        f = -eps * torch.logsumexp((g[None] - cost) / eps + log_b[None], dim=1)
        g = -eps * torch.logsumexp((f[:, None] - cost) / eps + log_a[:, None], dim=0)
    plan = torch.exp((f[:, None] + g[None] - cost) / eps + log_a[:, None] + log_b[None])
    return (plan * cost).sum(), plan


def main():
    i = torch.arange(10, dtype=torch.get_default_dtype())
    x = torch.column_stack([i / 10, torch.sin(i)]).requires_grad_()
    y = torch.vstack([torch.cos(i), i.div(5).sub(1)]).T.contiguous()
    curve = []
    for _ in range(5):
        loss, plan = sinkhorn(x, y)
        (grad,) = torch.autograd.grad(loss, [x])
        with torch.no_grad():
            x -= 0.5 * grad
        curve.append(loss.item())
    matched = plan.argmax(1)
    return curve, [x, plan, y[matched], torch.triu(plan).sum(), plan.norm()]
