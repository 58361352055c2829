"""FGSM and a universal perturbation: gradients in the input, clamped in place."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def fgsm_attack(image, epsilon, data_grad):
    return torch.clamp(image + epsilon * data_grad.sign(), 0, 1)


def pgd_linf(model, X, y, epsilon, alpha, num_iter):
    delta = torch.zeros_like(X, requires_grad=True)
    for _ in range(num_iter):
        loss = nn.CrossEntropyLoss()(model(X + delta), y)
        loss.backward()
        delta.data = (delta + X.shape[0] * alpha * delta.grad.data).clamp(-epsilon, epsilon)
        delta.grad.zero_()
    return delta.detach()


def main(set_weights):
    rng, values = np.random.RandomState(0), []
    model = set_weights(nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5)))
    data = torch.from_numpy(rng.rand(10, 1, 4, 4)).float()
    target = torch.from_numpy(rng.randint(0, 5, 10)).long()
    data.requires_grad = True
    loss = F.cross_entropy(model(data), target, label_smoothing=0.1)
    model.zero_grad()
    loss.backward()
    for epsilon in [0, 0.1, 0.3]:
        perturbed = fgsm_attack(data, epsilon, data.grad.data)
        values.append(F.cross_entropy(model(perturbed), target).item())
    delta = pgd_linf(model, data.detach(), target, 0.1, 0.02, 5)
    universal = torch.zeros(1, 1, 4, 4)
    universal.requires_grad_()
    opt = torch.optim.SGD([universal], lr=0.5)
    for _ in range(5):
        loss = -nn.CrossEntropyLoss()(model(data.detach() + universal), target)
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            universal.clamp_(-0.2, 0.2)
        values.append(loss.item())
    return values, [data.grad, delta, universal]
