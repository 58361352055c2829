"""A hidden Markov model: forward algorithm in log space, Viterbi, learning by gradient descent."""

import torch
from torch import nn


class HMM(nn.Module):
    def __init__(self, states, symbols):
        super().__init__()
        self.start = nn.Parameter(torch.linspace(-1, 1, states))
        self.transition = nn.Parameter(torch.sin(torch.arange(states * states).float()).reshape(states, states))
        self.emission = nn.Parameter(torch.cos(torch.arange(states * symbols).float()).reshape(states, symbols))

    def forward(self, obs):
        trans = torch.log_softmax(self.transition, dim=-1)
        emit = self.emission.log_softmax(-1)
        alpha = self.start.log_softmax(0).unsqueeze(0) + emit[:, obs[:, 0]].t()
        for t in range(1, obs.shape[1]):
            alpha = torch.logsumexp(alpha.unsqueeze(-1) + trans, dim=1) + emit[:, obs[:, t]].T
        return alpha.logsumexp(dim=-1)

    @torch.no_grad()
    def viterbi(self, obs):
        trans, emit = self.transition.log_softmax(-1), self.emission.log_softmax(-1)
        delta, back = self.start.log_softmax(0) + emit[:, obs[0]], []
        for o in obs[1:]:
            best, arg = (delta.unsqueeze(1) + trans).max(dim=0)
            delta = best + emit[:, o]
            back.append(arg)
        path = [delta.argmax().item()]
        for arg in reversed(back):
            path.insert(0, arg[path[0]].item())
        return path


def main():
    obs = (torch.arange(48).reshape(6, 8) * 7 % 11) % 4
    model = HMM(3, 4)
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, maximize=True)
    curve = []
    for _ in range(8):
        ll = model(obs).mean()
        opt.zero_grad()
        ll.backward()
        opt.step()
        curve.append(ll.item())
    path = torch.tensor([model.viterbi(row) for row in obs])
    return curve, [path.float(), *model.parameters()]
