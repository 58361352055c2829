"""NT-Xent, the contrastive loss of SimCLR, with a projection head."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def info_nce_loss(features, batch_size, temperature=0.07):
    labels = torch.cat([torch.arange(batch_size) for i in range(2)], dim=0)
    labels = (labels.unsqueeze(0) == labels.unsqueeze(1)).float()
    features = F.normalize(features, dim=1)
    similarity_matrix = torch.matmul(features, features.T)
    mask = torch.eye(labels.shape[0], dtype=torch.bool)
    labels = labels[~mask].view(labels.shape[0], -1)
    similarity_matrix = similarity_matrix[~mask].view(similarity_matrix.shape[0], -1)
    positives = similarity_matrix[labels.bool()].view(labels.shape[0], -1)
    negatives = similarity_matrix[~labels.bool()].view(similarity_matrix.shape[0], -1)
    logits = torch.cat([positives, negatives], dim=1)
    labels = torch.zeros(logits.shape[0], dtype=torch.long)
    return logits / temperature, labels


def main(set_weights):
    rng, curve = np.random.RandomState(0), []
    model = set_weights(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 6)))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, weight_decay=1e-4)
    for _ in range(10):
        x = rng.randn(6, 8)
        views = torch.from_numpy(np.concatenate([x + 0.1 * rng.randn(6, 8), x + 0.1 * rng.randn(6, 8)])).float()
        logits, labels = info_nce_loss(model(views), 6)
        loss = criterion(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        top1 = (logits.argmax(dim=-1) == labels).float().sum() * (100.0 / logits.shape[0])
        curve += [loss.item(), top1.item()]
    return curve, list(model.parameters())
