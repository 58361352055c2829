"""Linear regression by hand: no module, no optimizer."""

import numpy as np
import torch


def main():
    rng = np.random.RandomState(0)
    X = torch.from_numpy(rng.randn(100, 3).astype(np.float32))
    true_w = torch.tensor([[2.0], [-3.4], [0.5]])
    y = torch.mm(X, true_w) + 4.2 + 0.01 * torch.from_numpy(rng.randn(100, 1)).float()
    w = torch.zeros((3, 1), requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    lr, batch_size, losses = 0.03, 10, []

    def data_iter(features, labels):
        indices = list(range(len(features)))
        rng.shuffle(indices)
        for i in range(0, len(features), batch_size):
            batch = torch.LongTensor(indices[i : i + batch_size])
            yield features.index_select(0, batch), labels.index_select(0, batch)

    for _ in range(3):
        for features, labels in data_iter(X, y):
            y_hat = torch.addmm(b.expand(features.size(0), 1), features, w)
            loss = ((y_hat - labels.view_as(y_hat)) ** 2 / 2).sum()
            loss.backward()
            for param in [w, b]:
                param.data.sub_(lr * param.grad / batch_size)
                param.grad.data.zero_()
            losses.append(loss.item())
    return losses, [w, b]
