"""Deep Q-learning: replay memory, target network, gather, Huber loss, soft updates."""

import random
from collections import deque, namedtuple

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))
BATCH_SIZE, GAMMA, TAU = 8, 0.99, 0.05


class DQN(nn.Module):
    def __init__(self, n_observations, n_actions):
        super().__init__()
        self.layer1 = nn.Linear(n_observations, 16)
        self.layer2 = nn.Linear(16, n_actions)

    def forward(self, x):
        return self.layer2(torch.relu(self.layer1(x)))


def main(set_weights):
    rng = np.random.RandomState(2)
    random.seed(0)
    policy_net = set_weights(DQN(4, 2))
    target_net = DQN(4, 2)
    target_net.load_state_dict(policy_net.state_dict())
    optimizer = optim.AdamW(policy_net.parameters(), lr=1e-2, amsgrad=True)
    memory, losses = deque([], maxlen=50), []
    state = torch.tensor(rng.randn(4), dtype=torch.float32).unsqueeze(0)
    for t in range(30):
        with torch.no_grad():
            greedy = policy_net(state).max(dim=1).indices.view(1, 1)
        action = greedy if rng.rand() > 0.5 else torch.tensor([[rng.randint(2)]], dtype=torch.long)
        reward = torch.tensor([rng.randn()], dtype=torch.float32)
        done = t % 7 == 6
        next_state = None if done else torch.tensor(rng.randn(4), dtype=torch.float32).unsqueeze(0)
        memory.append(Transition(state, action, next_state, reward))
        state = next_state if not done else torch.zeros(1, 4)
        if len(memory) < BATCH_SIZE:
            continue
        batch = Transition(*zip(*random.sample(memory, BATCH_SIZE)))
        non_final_mask = torch.tensor(tuple(map(lambda s: s is not None, batch.next_state)), dtype=torch.bool)
        non_final_next_states = torch.cat([s for s in batch.next_state if s is not None])
        state_batch, action_batch = torch.cat(batch.state), torch.cat(batch.action)
        reward_batch = torch.cat(batch.reward)
        state_action_values = policy_net(state_batch).gather(1, action_batch)
        next_state_values = torch.zeros(BATCH_SIZE)
        with torch.no_grad():
            next_state_values[non_final_mask] = target_net(non_final_next_states).max(dim=1).values
        expected = (next_state_values * GAMMA) + reward_batch
        loss = nn.SmoothL1Loss()(state_action_values, expected.unsqueeze(1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
        optimizer.step()
        losses.append(loss.item())
        target_sd, policy_sd = target_net.state_dict(), policy_net.state_dict()
        for key in policy_sd:
            target_sd[key] = policy_sd[key] * TAU + target_sd[key] * (1 - TAU)
        target_net.load_state_dict(target_sd)
    return losses, list(policy_net.parameters()) + list(target_net.parameters())
