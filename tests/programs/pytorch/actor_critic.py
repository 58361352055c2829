"""Advantage actor-critic: two heads, a smooth L1 loss for the value, an entropy bonus."""

from collections import namedtuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical

SavedAction = namedtuple("SavedAction", ["log_prob", "value", "entropy"])


class Policy(nn.Module):
    def __init__(self):
        super(Policy, self).__init__()
        self.affine1 = nn.Linear(3, 24)
        self.action_head = nn.Linear(24, 3)
        self.value_head = nn.Linear(24, 1)

    def forward(self, x):
        x = F.relu(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def main(set_weights):
    rng = np.random.RandomState(5)
    model = set_weights(Policy())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    curve = []
    for _ in range(5):
        saved, rewards = [], []
        state = rng.randn(3)
        for _ in range(7):
            probs, value = model(torch.from_numpy(state).float())
            m = Categorical(probs)
            action = torch.tensor(rng.randint(3))
            saved.append(SavedAction(m.log_prob(action), value, m.entropy()))
            state = state + 0.1 * rng.randn(3)
            rewards.append(-float(abs(state).sum()))
        R, returns = 0, []
        for r in rewards[::-1]:
            R = r + 0.95 * R
            returns.insert(0, R)
        returns = torch.tensor(returns)
        policy_losses, value_losses = [], []
        for (log_prob, value, _), R in zip(saved, returns):
            advantage = R - value.item()
            policy_losses.append(-log_prob * advantage)
            value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
        optimizer.zero_grad()
        entropy = torch.stack([s.entropy for s in saved]).mean()
        loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum() - 0.01 * entropy
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        curve.append(loss.item())
    return curve, list(model.parameters())
