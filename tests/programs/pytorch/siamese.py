"""Siamese embedding with contrastive and triplet losses."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        euclidean_distance = F.pairwise_distance(output1, output2, keepdim=True)
        return torch.mean(
            (1 - label) * torch.pow(euclidean_distance, 2)
            + label * torch.pow(torch.clamp(self.margin - euclidean_distance, min=0.0), 2)
        )


def triplet_loss(anchor, positive, negative, margin=1.0):
    distance_positive = (anchor - positive).pow(2).sum(1)
    distance_negative = (anchor - negative).pow(2).sum(1)
    return F.relu(distance_positive - distance_negative + margin).mean()


def main(set_weights):
    rng, losses = np.random.RandomState(0), []
    net = set_weights(nn.Sequential(nn.Linear(6, 16), nn.PReLU(), nn.Linear(16, 3)))
    criterion = ContrastiveLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.005)
    for _ in range(10):
        a, b, c = (torch.tensor(rng.randn(12, 6)).float() for _ in range(3))
        label = torch.from_numpy(rng.randint(0, 2, (12, 1))).float()
        out1, out2, out3 = net(a), net(b), F.normalize(net(c), p=2, dim=1)
        loss = criterion(out1, out2, label) + triplet_loss(out1, out2, out3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, list(net.parameters())
