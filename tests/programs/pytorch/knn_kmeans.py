"""k-means, nearest neighbours and PCA by power iteration, without gradients."""

import torch


@torch.no_grad()
def main():
    g = torch.arange(40.0)
    x = torch.stack([torch.sin(g) + (g > 19) * 4, torch.cos(1.7 * g) - (g > 19).float() * 3], dim=1)
    centers = x[[0, 39]].clone()
    curve = []
    for _ in range(5):
        d = torch.cdist(x, centers)
        best, assign = d.min(dim=1)
        curve.append(best.pow(2).sum().item())
        for k in range(2):
            if (assign == k).any():
                centers[k] = x[assign == k].mean(dim=0)
        counts = torch.bincount(assign, minlength=2)
    sums = torch.zeros_like(centers).index_add_(0, assign, x)
    means = sums / counts.clamp(min=1).unsqueeze(1)
    d2 = (x.unsqueeze(1) - x.unsqueeze(0)).pow(2).sum(-1)
    d2.fill_diagonal_(float("inf"))
    values, neighbours = d2.topk(3, largest=False)
    votes = assign[neighbours]
    predicted = votes.mode(dim=1).values
    curve.append((predicted == assign).float().mean().item())
    centred = x - x.mean(0, keepdim=True)
    cov = centred.t() @ centred / (len(x) - 1)
    v = torch.ones(2)
    for _ in range(30):
        v = torch.mv(cov, v)
        v /= v.norm()
    curve.append((v @ cov @ v).item())
    order = torch.argsort(x @ v, descending=True)
    return curve, [centers, means, values, v, order.float(), torch.cov(x.T) - cov]
