"""The clipped objective of PPO with minibatches, a Normal policy and generalised advantages."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.distributions.normal import Normal


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
        self.actor_mean = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
        self.actor_logstd = nn.Parameter(torch.zeros(1, 2))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action):
        action_mean = self.actor_mean(x)
        action_std = torch.exp(self.actor_logstd.expand_as(action_mean))
        probs = Normal(action_mean, action_std)
        return probs.log_prob(action).sum(1), probs.entropy().sum(1), self.critic(x)


def main(set_weights):
    rng = np.random.RandomState(0)
    agent = set_weights(Agent())
    optimizer = optim.Adam(agent.parameters(), lr=3e-3, eps=1e-5)
    num_steps, gamma, gae_lambda, clip_coef = 16, 0.99, 0.95, 0.2
    curve = []
    for update in range(1, 4):
        optimizer.param_groups[0]["lr"] = (1.0 - (update - 1.0) / 4) * 3e-3
        obs = torch.from_numpy(rng.randn(num_steps, 3)).float()
        actions = torch.from_numpy(rng.randn(num_steps, 2)).float()
        rewards = torch.from_numpy(rng.randn(num_steps)).float()
        dones = torch.from_numpy(rng.rand(num_steps) < 0.1).float()
        with torch.no_grad():
            logprobs, _, values = agent.get_action_and_value(obs, actions)
            values = values.flatten()
            advantages = torch.zeros_like(rewards)
            lastgaelam = 0
            for t in reversed(range(num_steps - 1)):
                nextnonterminal = 1.0 - dones[t + 1]
                delta = rewards[t] + gamma * values[t + 1] * nextnonterminal - values[t]
                advantages[t] = lastgaelam = delta + gamma * gae_lambda * nextnonterminal * lastgaelam
            returns = advantages + values
        b_inds = np.arange(num_steps)
        for _ in range(2):
            rng.shuffle(b_inds)
            for start in range(0, num_steps, 8):
                mb_inds = b_inds[start : start + 8]
                newlogprob, entropy, newvalue = agent.get_action_and_value(obs[mb_inds], actions[mb_inds])
                logratio = newlogprob - logprobs[mb_inds]
                ratio = logratio.exp()
                mb_advantages = advantages[mb_inds]
                mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std(unbiased=True) + 1e-8)
                pg_loss1 = -mb_advantages * ratio
                pg_loss2 = -mb_advantages * torch.clamp(ratio, 1 - clip_coef, 1 + clip_coef)
                pg_loss = torch.max(pg_loss1, pg_loss2).mean()
                newvalue = newvalue.view(-1)
                v_loss = 0.5 * ((newvalue - returns[mb_inds]) ** 2).mean()
                loss = pg_loss - 0.01 * entropy.mean() + v_loss * 0.5
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
                curve.append(loss.item())
    return curve, list(agent.parameters())
